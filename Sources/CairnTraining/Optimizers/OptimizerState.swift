// SPDX-License-Identifier: Apache-2.0
/// What an optimizer remembers between steps, as a value that files hold.

import CairnFormats
import CairnTensor

/// What an optimizer remembers between steps, by name, on the host.
public struct OptimizerState: Sendable {
    /// A group of parameters as it was when the state was taken.
    public struct Group: Sendable, Equatable {
        /// The group's name.
        public var name: String
        /// The rule's name: `adamw`, `adam`, `sgd`, `lion`.
        public var kind: String
        /// The numbers of its rule, by name.
        public var hyperparameters: [String: Double]
        /// Names of the members, sorted.
        public var parameters: [String]

        /// The state of a group.
        public init(
            name: String, kind: String, hyperparameters: [String: Double], parameters: [String]
        ) {
            self.name = name
            self.kind = kind
            self.hyperparameters = hyperparameters
            self.parameters = parameters
        }
    }

    /// Updates taken so far.
    public var step: UInt64
    /// In the optimizer's order; every parameter that trains is in exactly one.
    public var groups: [Group]
    /// By parameter name, then by slot name; fp32, in the parameter's shape.
    public var slots: [String: [String: Tensor]]
    /// The rate of the last update, for readers that want to know; no next step depends on it.
    public var learningRate: Double?

    /// The state of an optimizer.
    public init(
        step: UInt64, groups: [Group], slots: [String: [String: Tensor]],
        learningRate: Double? = nil
    ) {
        self.step = step
        self.groups = groups
        self.slots = slots
        self.learningRate = learningRate
    }
}

/// A hyper-parameter that a saved state and an optimizer have different numbers for.
public struct HyperparameterChange: Sendable, Equatable, CustomStringConvertible {
    /// The group's name in the optimizer.
    public var group: String
    /// The name of the number.
    public var key: String
    /// Nil where the state does not say.
    public var saved: Double?
    /// What the optimizer has; nil when it has none.
    public var current: Double?

    /// A number that differs.
    public init(group: String, key: String, saved: Double?, current: Double?) {
        self.group = group
        self.key = key
        self.saved = saved
        self.current = current
    }

    public var description: String {
        func text(_ value: Double?) -> String { value.map { "\($0)" } ?? "not set" }
        return "\(key) of group '\(group)' is \(text(current)), in the state \(text(saved))"
    }
}

// MARK: As JSON

extension OptimizerState.Group {
    /// The group as an object: `name`, `kind`, `hyperparameters`, `parameters`.
    public var json: JSONObject {
        [
            "name": .string(name), "kind": .string(kind),
            "hyperparameters": .object(
                JSONObject(
                    hyperparameters.sorted { $0.key < $1.key }.map { ($0.key, .number($0.value)) })
            ),
            "parameters": .array(parameters.map { .string($0) }),
        ]
    }

    /// Reads what `json` gives; `file` is what errors call its place. Other keys are left alone.
    public init(json: JSONValue, file: String) throws(TrainingError) {
        func bad(_ key: String, _ expected: String) -> TrainingError {
            .badMetadata(
                file: file, key: key, expected: expected, found: json[key]?.kind ?? "nothing")
        }
        guard let name = json["name"]?.string else { throw bad("name", "a string") }
        guard let kind = json["kind"]?.string else { throw bad("kind", "a string") }
        guard let numbers = json["hyperparameters"]?.object,
            numbers.allSatisfy({ $0.value.number != nil })
        else { throw bad("hyperparameters", "an object of numbers") }
        guard let names = json["parameters"]?.array, names.allSatisfy({ $0.string != nil }) else {
            throw bad("parameters", "an array of strings")
        }
        self.init(
            name: name, kind: kind,
            hyperparameters: Dictionary(
                uniqueKeysWithValues: numbers.map { ($0.key, $0.value.number!) }),
            parameters: names.map { $0.string! })
    }
}
