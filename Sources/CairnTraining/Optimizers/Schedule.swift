// SPDX-License-Identifier: Apache-2.0
/// Learning rates as functions of the step: no state, so a resume needs none.

import CairnFormats
import CairnGraph

/// How the learning rate moves over a run.
///
/// Over the warm-up the rate rises linearly and reaches the peak on its last step, (s + 1) / warmup
/// at step s counted from 0; transformers has s / warmup, so that its first step does nothing.
/// After it both are the same: the rate is
///
///     peak (ratio + (1 - ratio) f(x)),   x = (s - warmup) / (total - warmup), at most 1
///
/// where f is 1 at first and 0 past the end, by the shape.
public struct Schedule: Sendable, Equatable {
    /// The course after the warm-up.
    public enum Shape: String, Sendable, CaseIterable {
        /// f = 1
        case constant
        /// f = 1 - x
        case linear
        /// f = (1 + cos(pi x)) / 2
        case cosine
        /// f = (1 - x)^power
        case polynomial
        /// sqrt(timescale / (s - warmup + timescale)) in place of f; the timescale is the length of
        /// the warm-up, or 10 000 steps without one, and the end of the run plays no part.
        case inverseSqrt = "inverse-sqrt"
        /// The cosine, `cycles` times from its start; past the end f = 0.
        case cosineRestarts = "cosine-restarts"
    }

    /// What the shapes need besides peak and length.
    public struct Options: Sendable, Equatable {
        /// The rate that the shape falls to, as a share of the peak, in [0, 1].
        public var minimumRatio: Double
        /// The exponent of `polynomial`; > 0.
        public var power: Double
        /// How often `cosineRestarts` starts; in `cycleRange`.
        public var cycles: Int

        /// The numbers of restarts that can be asked for.
        public static let cycleRange = 1...1_000_000

        /// - Precondition: the numbers are in their ranges.
        public init(minimumRatio: Double = 0, power: Double = 2, cycles: Int = 2) {
            precondition(
                minimumRatio >= 0 && minimumRatio <= 1,
                "the minimum is a share in [0, 1], got \(minimumRatio)")
            precondition(power > 0 && power.isFinite, "the power is \(power), expected > 0")
            precondition(
                Self.cycleRange.contains(cycles), "cycles is \(cycles), not in \(Self.cycleRange)")
            self.minimumRatio = minimumRatio
            self.power = power
            self.cycles = cycles
        }
    }

    /// The course after the warm-up.
    public let shape: Shape
    /// The largest rate.
    public let peak: Double
    /// Steps over which the rate rises.
    public let warmupSteps: Int
    /// Steps of the whole run.
    public let totalSteps: Int
    /// What the shape needs besides.
    public let options: Options

    /// A course of so many steps. `warmup` is the share of them over which the rate rises, in
    /// [0, 1]; the number of those steps is rounded up.
    public init(
        _ shape: Shape, peak: Double, warmup: Double, totalSteps: Int, options: Options = Options()
    ) {
        precondition(warmup >= 0 && warmup <= 1, "warmup is a share in [0, 1], got \(warmup)")
        self.init(
            shape, peak: peak, warmupSteps: Int((warmup * Double(totalSteps)).rounded(.up)),
            totalSteps: totalSteps, options: options)
    }

    /// - Precondition: the peak is finite and not negative, and so are the numbers of steps.
    public init(
        _ shape: Shape, peak: Double, warmupSteps: Int, totalSteps: Int,
        options: Options = Options()
    ) {
        precondition(peak >= 0 && peak.isFinite, "the peak is \(peak), expected >= 0 and finite")
        precondition(
            warmupSteps >= 0 && totalSteps >= 0, "\(warmupSteps) of \(totalSteps) steps of warm-up")
        self.shape = shape
        self.peak = peak
        self.warmupSteps = warmupSteps
        self.totalSteps = totalSteps
        self.options = options
    }

    /// The rate of optimizer step `step`, counted from 0.
    public func learningRate(at step: Int) -> Double {
        if step < warmupSteps { return peak * Double(step + 1) / Double(warmupSteps) }
        let ratio = options.minimumRatio
        return peak * (ratio + (1 - ratio) * factor(at: step - warmupSteps))
    }

    /// f, `done` steps after the warm-up.
    private func factor(at done: Int) -> Double {
        let rest = max(totalSteps - warmupSteps, 1)
        let progress = min(Double(done) / Double(rest), 1)
        switch shape {
        case .constant: return 1
        case .linear: return 1 - progress
        case .cosine: return Self.cosine(progress)
        case .polynomial:
            return progress < 1 ? Graph.power(1 - progress, options.power) : 0
        case .inverseSqrt:
            let timescale = Double(warmupSteps > 0 ? warmupSteps : 10_000)
            return (timescale / (Double(done) + timescale)).squareRoot()
        case .cosineRestarts:
            if done >= rest { return 0 }
            // In whole steps, so that a cycle that ends on a step starts there at the peak.
            return Self.cosine(Double(options.cycles * done % rest) / Double(rest))
        }
    }

    private static func cosine(_ progress: Double) -> Double {
        0.5 * (1 + Graph.cosine(ofTurns: progress / 2))
    }
}

// MARK: As JSON

extension Schedule {
    /// Everything that the rates depend on, as a state file holds it.
    public var json: JSONObject {
        [
            "shape": .string(shape.rawValue), "peak": .number(peak),
            "warmup_steps": .integer(Int64(warmupSteps)),
            "total_steps": .integer(Int64(totalSteps)),
            "minimum_ratio": .number(options.minimumRatio), "power": .number(options.power),
            "cycles": .integer(Int64(options.cycles)),
        ]
    }

    /// Reads what `json` gives; `file` is what errors call its place. Other keys are left alone.
    public init(json: JSONObject, file: String) throws(TrainingError) {
        func bad(_ key: String, _ expected: String) -> TrainingError {
            .badMetadata(
                file: file, key: key, expected: expected, found: Self.text(json[key]))
        }
        func number(_ key: String, _ expected: String, _ range: ClosedRange<Double>)
            throws(TrainingError) -> Double
        {
            guard let value = json[key]?.number, range.contains(value) else {
                throw bad(key, expected)
            }
            return value
        }
        func count(_ key: String, _ range: ClosedRange<Int>) throws(TrainingError) -> Int {
            guard let value = json[key]?.integer, range.contains(value) else {
                throw bad(key, "a whole number in \(range)")
            }
            return value
        }
        guard let shape = json["shape"]?.string.flatMap(Shape.init(rawValue:)) else {
            throw bad("shape", Shape.allCases.map(\.rawValue).joined(separator: ", "))
        }
        let largest = Double.greatestFiniteMagnitude
        self.init(
            shape, peak: try number("peak", "a number of at least 0", 0...largest),
            warmupSteps: try count("warmup_steps", Self.stepRange),
            totalSteps: try count("total_steps", Self.stepRange),
            options: Options(
                minimumRatio: try number("minimum_ratio", "a number in [0, 1]", 0...1),
                power: try number(
                    "power", "a positive number", Double.leastNonzeroMagnitude...largest),
                cycles: try count("cycles", Options.cycleRange)))
    }

    /// What is above is no training run.
    private static let stepRange = 0...1_000_000_000

    private static func text(_ value: JSONValue?) -> String {
        guard let value else { return "nothing" }
        if let number = value.number { return "\(number)" }
        return value.string.map { "'\($0)'" } ?? value.kind
    }
}
