// SPDX-License-Identifier: Apache-2.0
/// Where the time of a run goes, and what was worked off in it.

/// Seconds of training, validation and saving apart, and the rows and tokens trained on.
///
/// Everything is a sum, so that the figures of a run that was stopped and resumed are the sums of
/// its parts.
public struct RunTiming: Sendable, Equatable {
    public enum Phase: Sendable, CaseIterable {
        /// Steps: forward, backward and update.
        case training
        case validation
        /// What the run waited for checkpoints; not the work that went on beside it.
        case saving
    }

    public var trainingSeconds: Double
    public var validationSeconds: Double
    public var savingSeconds: Double
    /// Rows and real tokens, padding never being one, that training steps took in.
    public var rows: Int
    public var tokens: Int

    public init(
        trainingSeconds: Double = 0, validationSeconds: Double = 0, savingSeconds: Double = 0,
        rows: Int = 0, tokens: Int = 0
    ) {
        self.trainingSeconds = trainingSeconds
        self.validationSeconds = validationSeconds
        self.savingSeconds = savingSeconds
        self.rows = rows
        self.tokens = tokens
    }

    public subscript(phase: Phase) -> Double {
        get {
            switch phase {
            case .training: trainingSeconds
            case .validation: validationSeconds
            case .saving: savingSeconds
            }
        }
        set {
            switch phase {
            case .training: trainingSeconds = newValue
            case .validation: validationSeconds = newValue
            case .saving: savingSeconds = newValue
            }
        }
    }

    /// Runs `body` and counts its time for a phase, also when it throws.
    public mutating func measure<Result, Failure: Error>(
        _ phase: Phase, by clock: some Clock<Duration> = ContinuousClock(),
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let start = clock.now
        defer { self[phase] += start.duration(to: clock.now).inSeconds }
        return try body()
    }

    public var totalSeconds: Double { Phase.allCases.reduce(0) { $0 + self[$1] } }

    /// Rows over the seconds of training steps alone; nil before there are any.
    public var rowsPerSecond: Double? { trainingSeconds > 0 ? Double(rows) / trainingSeconds : nil }

    /// Real tokens over the seconds of training steps alone; nil before there are any.
    public var tokensPerSecond: Double? {
        trainingSeconds > 0 ? Double(tokens) / trainingSeconds : nil
    }

    public static func + (a: RunTiming, b: RunTiming) -> RunTiming {
        RunTiming(
            trainingSeconds: a.trainingSeconds + b.trainingSeconds,
            validationSeconds: a.validationSeconds + b.validationSeconds,
            savingSeconds: a.savingSeconds + b.savingSeconds, rows: a.rows + b.rows,
            tokens: a.tokens + b.tokens)
    }
}
