// SPDX-License-Identifier: Apache-2.0
/// What a run watches: when a value improves, and when it has not for too long.

/// Follows one number from epoch to epoch.
///
/// A value improves on the best when it is finite and better by more than `minDelta`; the first
/// finite value always does. A value that is not finite never improves and counts as stale, also
/// before there is a best. Where there is no value nothing improves, and it counts as stale once
/// there is a best.
public struct Monitor: Sendable, Equatable {
    /// Which direction is better.
    public enum Mode: String, Sendable, CaseIterable {
        /// Less is better, or more.
        case min, max
    }

    /// How values compare.
    public struct Rule: Sendable, Equatable {
        /// What the value is called in reports and files.
        public var name: String
        /// Which direction is better.
        public var mode: Mode
        /// By how much more than this a value must be better; at least 0.
        public var minDelta: Double
        /// How many stale epochs in a row are borne; nil never stops.
        public var patience: Int?

        /// A rule; `validate` checks it.
        public init(
            name: String, mode: Mode = .min, minDelta: Double = 0, patience: Int? = nil
        ) {
            self.name = name
            self.mode = mode
            self.minDelta = minDelta
            self.patience = patience
        }

        /// - Throws: `TrainerError.option` for a value outside of its range.
        public func validate() throws(TrainerError) {
            guard !name.isEmpty else {
                throw .option("monitor", expected: "a name", found: "an empty one")
            }
            guard minDelta >= 0, minDelta.isFinite else {
                throw .option(
                    "min_delta", expected: "finite and not negative", found: "\(minDelta)")
            }
            if let patience, patience < 0 {
                throw .option("patience", expected: "not negative", found: "\(patience)")
            }
        }
    }

    /// How values compare.
    public let rule: Rule
    /// The best value so far; never NaN or infinite.
    public private(set) var best: Double?
    /// Epochs since the best one.
    public private(set) var stale = 0
    /// Whether the run has ended by this rule.
    public private(set) var stoppedEarly = false

    /// A monitor that has seen nothing.
    public init(_ rule: Rule) { self.rule = rule }

    /// Takes up where a saved run was.
    public init(_ rule: Rule, best: Double?, stale: Int, stoppedEarly: Bool) {
        precondition(stale >= 0, "stale epochs cannot be \(stale)")
        self.rule = rule
        self.best = best.flatMap { $0.isFinite ? $0 : nil }
        self.stale = stale
        self.stoppedEarly = stoppedEarly
    }

    /// Takes in an epoch's value; returns whether it is the new best.
    @discardableResult
    public mutating func observe(_ value: Double?) -> Bool {
        if improves(value) {
            best = value
            stale = 0
            return true
        }
        let isBad = value.map { !$0.isFinite } ?? false
        if best != nil || isBad { stale += 1 }
        if let patience = rule.patience, stale > patience { stoppedEarly = true }
        return false
    }

    /// Goes on after an early stop: the count of stale epochs begins anew.
    public mutating func goOn() {
        stoppedEarly = false
        stale = 0
    }

    private func improves(_ value: Double?) -> Bool {
        guard let value, value.isFinite else { return false }
        guard let best else { return true }
        return rule.mode == .min ? value < best - rule.minDelta : value > best + rule.minDelta
    }
}
