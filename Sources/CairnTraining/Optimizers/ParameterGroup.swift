// SPDX-License-Identifier: Apache-2.0
/// Which parameters an optimizer moves by which rule: ordered groups with selectors.

/// A choice among parameters, by name and shape.
public struct ParameterSelector: Sendable, CustomStringConvertible {
    /// What it chooses, for error messages: `names ending in .bias`.
    public let description: String
    private let isMember: @Sendable (_ name: String, _ dimensions: [Int]) -> Bool

    private init(
        _ description: String,
        _ isMember: @escaping @Sendable (_ name: String, _ dimensions: [Int]) -> Bool
    ) {
        self.description = description
        self.isMember = isMember
    }

    /// Whether a parameter is selected.
    public func matches(_ name: String, dimensions: [Int]) -> Bool { isMember(name, dimensions) }

    /// Selects every parameter.
    public static let everything = ParameterSelector("everything") { _, _ in true }

    /// Exactly these.
    public static func names(_ names: String...) -> ParameterSelector {
        let wanted = Set(names)
        return ParameterSelector(names.joined(separator: ", ")) { name, _ in wanted.contains(name) }
    }

    /// Names that begin with one of these.
    public static func prefix(_ prefixes: String...) -> ParameterSelector {
        ParameterSelector("names beginning with \(prefixes.joined(separator: " or "))") { name, _ in
            prefixes.contains { name.hasPrefix($0) }
        }
    }

    /// Names that end in one of these: `.suffix(".bias", "norm.weight")`.
    public static func suffix(_ suffixes: String...) -> ParameterSelector {
        ParameterSelector("names ending in \(suffixes.joined(separator: " or "))") { name, _ in
            suffixes.contains { name.hasSuffix($0) }
        }
    }

    /// Names in which the regular expression occurs.
    ///
    /// - Throws: when `pattern` is no regular expression.
    public static func pattern(_ pattern: String) throws -> ParameterSelector {
        // Matching does not change a compiled expression, so threads may share it.
        nonisolated(unsafe) let expression = try Regex(pattern)
        return ParameterSelector("names with /\(pattern)/") { name, _ in
            name.firstMatch(of: expression) != nil
        }
    }

    /// Those of which `isMember` says so; `description` names the choice in error messages.
    public static func matching(
        _ description: String, _ isMember: @escaping @Sendable (String, [Int]) -> Bool
    ) -> ParameterSelector {
        ParameterSelector(description, isMember)
    }
}

/// Parameters that move alike.
///
/// Weight decay on matrices only, by two groups of which the first that matches counts:
///
///     let rule = UpdateRule.adamW(weightDecay: 0.1)
///     let optimizer = try Optimizer(groups: [
///         ParameterGroup("plain", .suffix(".bias", "norm.weight"), rule.weightDecay(0)),
///         ParameterGroup("decayed", .everything, rule),
///     ], parameters: parameters)
public struct ParameterGroup: Sendable {
    /// Names the group in files and errors.
    public var name: String
    /// Which parameters are in the group.
    public var selector: ParameterSelector
    /// The formula with its hyper-parameters, weight decay among them.
    public var rule: UpdateRule
    /// The group's learning rate is the optimizer's times this.
    public var learningRateFactor: Double

    /// - Precondition: the factor is finite and not negative.
    public init(
        _ name: String, _ selector: ParameterSelector, _ rule: UpdateRule,
        learningRateFactor: Double = 1
    ) {
        precondition(
            learningRateFactor >= 0 && learningRateFactor.isFinite,
            "group '\(name)': the factor on the learning rate is \(learningRateFactor)")
        self.name = name
        self.selector = selector
        self.rule = rule
        self.learningRateFactor = learningRateFactor
    }

    /// The rule's hyper-parameters and the factor on the learning rate, by the names of files.
    public var hyperparameters: [String: Double] {
        rule.hyperparameters.merging(["learning_rate_factor": learningRateFactor]) { old, _ in old }
    }

    /// The place of the group of every name: the first one that matches.
    ///
    /// Fails on a name without a group, a group that takes nothing, and two groups of one name,
    /// listing all of them.
    static func assign(
        _ names: [String], to groups: [ParameterGroup], dimensions: (String) -> [Int]
    ) throws(TrainingError) -> [String: Int] {
        var (places, problems) = ([String: Int](), [String]())
        for name in names {
            let shape = dimensions(name)
            let place = groups.firstIndex { $0.selector.matches(name, dimensions: shape) }
            if let place {
                places[name] = place
            } else {
                problems.append("'\(name)' is in no group")
            }
        }
        let used = Set(places.values)
        for (place, group) in groups.enumerated() {
            if !used.contains(place) {
                problems.append(
                    "group '\(group.name)' (\(group.selector)) takes none of the parameters")
            }
            if groups[..<place].contains(where: { $0.name == group.name }) {
                problems.append("two groups are called '\(group.name)'")
            }
        }
        guard problems.isEmpty else { throw .badGroups(problems) }
        return places
    }
}
