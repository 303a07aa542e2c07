// SPDX-License-Identifier: Apache-2.0
/// Where the time of a run goes, and how much is worked off in it.

extension RunTiming {
    /// What time is spent on; the names are those of the sums.
    public enum Phase: String, Sendable, CaseIterable {
        /// Steps: forward, backward and update.
        case training
        /// Evaluations of the validation rows.
        case validation
        /// What the run waited for checkpoints; not the work that went on beside it.
        case saving
    }

    /// Seconds of the three phases.
    public init(training: Double, validation: Double, saving: Double) {
        self.init()
        self.training = training
        self.validation = validation
        self.saving = saving
    }

    /// The seconds of a phase.
    public subscript(phase: Phase) -> Double {
        get {
            switch phase {
            case .training: training
            case .validation: validation
            case .saving: saving
            }
        }
        set {
            switch phase {
            case .training: training = newValue
            case .validation: validation = newValue
            case .saving: saving = newValue
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

    /// The seconds of all phases.
    public var total: Double { Phase.allCases.reduce(0) { $0 + self[$1] } }
}

/// Work done in a time.
public struct Throughput: Sendable, Equatable {
    /// Rows worked on.
    public var rows: Int
    /// Real tokens; padding is none.
    public var tokens: Int
    /// Seconds of training steps alone.
    public var seconds: Double

    /// Work and its time.
    public init(rows: Int, tokens: Int, seconds: Double) {
        self.rows = rows
        self.tokens = tokens
        self.seconds = seconds
    }

    /// Nil before any time has passed, as the next.
    public var rowsPerSecond: Double? { seconds > 0 ? Double(rows) / seconds : nil }
    /// Real tokens over the seconds.
    public var tokensPerSecond: Double? { seconds > 0 ? Double(tokens) / seconds : nil }
}
