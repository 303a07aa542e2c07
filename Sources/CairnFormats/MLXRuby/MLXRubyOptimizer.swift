// SPDX-License-Identifier: Apache-2.0
/// The state of mlx-ruby's optimizers: scalars and slots, told apart.

import CairnTensor

/// The state of one optimizer, or of each in a `MultiOptimizer`.
public enum MLXRubyOptimizer: Sendable {
    /// Numbers of an optimizer, and tensors for its parameters.
    public struct State: Sendable {
        /// `step`, `learning_rate` and other scheduled numbers: integers or numbers.
        public var scalars: [String: JSONValue]
        /// By the parameter's dotted name, then by the slot's name: `m`, `v`, ...
        public var slots: [String: [String: Tensor]]

        /// A state of numbers and tensors.
        public init(scalars: [String: JSONValue], slots: [String: [String: Tensor]]) {
            self.scalars = scalars
            self.slots = slots
        }
    }

    /// One optimizer for all parameters.
    case single(State)
    /// A `MultiOptimizer`, in the order of its groups.
    case multiple([State])

    /// The states in order: one, or one per group.
    public var states: [State] {
        switch self {
        case .single(let state): [state]
        case .multiple(let states): states
        }
    }
}

/// In a file all of a state is one tree: `{step, learning_rate, layers: [{weight: {m, v}}, ...]}`,
/// where a number at the top is a scalar, and a record `m` below `layers.0.weight` that slot. A
/// scalar and a parameter of one name cannot both be in it. A `MultiOptimizer` is
/// `{states: [tree, ...]}`.
extension PayloadCodec {
    static var statesKey: String { "states" }

    func optimizer(_ value: Value) throws(FormatError) -> MLXRubyOptimizer {
        let top = try members(value, at: "optimizer")
        if top.count == 1, case .list(let states)? = top[Self.statesKey]?.view {
            var all: [MLXRubyOptimizer.State] = []
            for (index, state) in states.enumerated() {
                all.append(
                    try self.state(state, at: path("optimizer.\(Self.statesKey)", "\(index)")))
            }
            return .multiple(all)
        }
        return .single(try state(value, at: "optimizer"))
    }

    private func state(
        _ value: Value, at place: String
    ) throws(FormatError) -> MLXRubyOptimizer.State {
        var state = MLXRubyOptimizer.State(scalars: [:], slots: [:])
        for (key, member) in try members(value, at: place) {
            if let scalar = try scalar(member, at: path(place, key)) {
                state.scalars[key] = scalar
                continue
            }
            try visit(member, at: key) { (path, tensor) throws(FormatError) in
                guard let dot = path.utf8.lastIndex(of: UInt8(ascii: ".")) else {
                    throw failure(
                        self.path(place, path), "a number, or slots of a parameter", "an array")
                }
                let (parameter, slot) = (String(path[..<dot]), String(path[dot...].dropFirst()))
                guard state.slots[parameter, default: [:]].updateValue(tensor, forKey: slot) == nil
                else { throw failure(self.path(place, path), "every slot once", "it again") }
            }
        }
        return state
    }

    /// A number, also as an array of no dimensions; nil for other values.
    private func scalar(_ value: Value, at place: String) throws(FormatError) -> JSONValue? {
        switch value.view {
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .members:
            guard let tensor = try record(value, at: place), tensor.shape.rank == 0 else {
                return nil
            }
            let record = try PayloadCodec<JSONValue>(file: file).record(of: tensor, at: place)
            return record[ArrayRecord.key]?["values"]
        default: return nil
        }
    }

    // MARK: Writing

    func value(of optimizer: MLXRubyOptimizer) throws(FormatError) -> Value {
        switch optimizer {
        case .single(let state): return try value(of: state)
        case .multiple(let states):
            var list: [Value] = []
            for state in states { list.append(try value(of: state)) }
            let all = try make(.list(list), at: "optimizer")
            return try make(.members([(Self.statesKey, all)]), at: "optimizer")
        }
    }

    private func value(of state: MLXRubyOptimizer.State) throws(FormatError) -> Value {
        let (scalars, slots) = try parts(of: state)
        return try make(.members(scalars + (try members(of: slots))), at: "optimizer")
    }

    /// What a state's hash holds: its scalars, then the tree of its slots.
    func parts(
        of state: MLXRubyOptimizer.State
    ) throws(FormatError) -> (
        scalars: [(key: String, value: Value)], slots: [(key: String, node: PayloadNode)]
    ) {
        var scalars: [(key: String, value: Value)] = []
        for (name, scalar) in state.scalars.sorted(by: { $0.key.utf8Precedes($1.key) }) {
            let place = path("optimizer", name)
            switch scalar {
            case .integer, .number: scalars.append((name, try value(of: scalar, at: place)))
            default: throw failure(place, "a number", scalar.kind)
            }
        }
        var flat: [String: Tensor] = [:]
        for (parameter, slots) in state.slots {
            for (slot, tensor) in slots {
                guard !slot.utf8.contains(UInt8(ascii: ".")),
                    flat.updateValue(tensor, forKey: path(parameter, slot)) == nil
                else {
                    throw failure(
                        path(parameter, slot), "a slot's name without dots, once", "another")
                }
            }
        }
        let slots = try tree(of: flat).members
        for (key, _) in slots where state.scalars[key] != nil {
            throw failure(
                path("optimizer", key), "no parameter with the name of a scalar",
                "the parameter '\(key)'")
        }
        return (scalars, slots)
    }
}
