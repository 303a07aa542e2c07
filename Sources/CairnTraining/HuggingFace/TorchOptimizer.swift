// SPDX-License-Identifier: Apache-2.0
/// `optimizer.pt`: torch's AdamW by number, Cairn's by name.

import CairnFormats
import CairnTensor
import Foundation

/// The state dictionary of a torch optimizer.
///
///     {"state": {number: {"step": fp32 scalar, "exp_avg": tensor, "exp_avg_sq": tensor}},
///      "param_groups": [{"lr", "betas", "eps", "weight_decay", ..., "params": [number]}]}
///
/// Source: torch.optim.Optimizer.state_dict of torch 2.13.
struct TorchOptimizer {
    static let fileName = "optimizer.pt"
    static let slots = [(own: "m", torch: "exp_avg"), (own: "v", torch: "exp_avg_sq")]

    let file: String
    private let states: [Int: TorchValue]
    private let groups: [Group]

    /// One of `param_groups`.
    private struct Group {
        let numbers: [Int]
        let kind: String
        let hyperparameters: [String: Double]
        let learningRate: Double
    }

    /// The rate of the next step, where all groups have one.
    var learningRate: Double? {
        let rates = Set(groups.map(\.learningRate))
        return rates.count == 1 ? rates.first : nil
    }

    // MARK: Reading

    init(contentsOf url: URL) throws {
        file = url.path
        let value = try TorchFile(contentsOf: url).value
        guard let states = value["state"]?.dictionary, let groups = value["param_groups"]?.elements
        else {
            throw Self.error(url.path, "the file", "the keys state and param_groups", value.kind)
        }
        var byNumber: [Int: TorchValue] = [:]
        for (key, state) in states {
            guard let number = key.integer else {
                throw Self.error(url.path, "state", "numbers as keys", key.kind)
            }
            byNumber[number] = state
        }
        self.states = byNumber
        self.groups = try groups.enumerated().map { try Self.group($1, place: $0, url.path) }
    }

    private static func group(_ value: TorchValue, place: Int, _ file: String) throws -> Group {
        let entry = "param_groups[\(place)]"
        func number(_ key: String) throws -> Double {
            guard let number = value[key]?.number, number.isFinite else {
                throw error(file, "\(entry), \(key)", "a number", value[key]?.kind ?? "nothing")
            }
            return number
        }
        let numbers = value["params"]?.elements?.map(\.integer)
        guard let numbers, numbers.allSatisfy({ $0 != nil }) else {
            throw error(
                file, "\(entry), params", "a list of numbers", value["params"]?.kind ?? "nothing")
        }
        for key in ["amsgrad", "maximize"] where value[key]?.bool == true {
            throw error(file, "\(entry), \(key)", "False", "True")
        }
        guard let betas = value["betas"]?.elements?.compactMap(\.number), betas.count == 2 else {
            throw error(
                file, entry, "torch's Adam or AdamW, which has betas", "another optimizer")
        }
        // Absent before torch 2.8, which had a class for each.
        let isDecoupled = value["decoupled_weight_decay"]?.bool ?? true
        return Group(
            numbers: numbers.compactMap { $0 }, kind: isDecoupled ? "adamw" : "adam",
            hyperparameters: [
                "beta1": betas[0], "beta2": betas[1], "epsilon": try number("eps"),
                "weight_decay": try number("weight_decay"), "learning_rate_factor": 1,
            ], learningRate: try number("lr"))
    }

    /// The state under the names of one of `orders`: the first whose shapes are those of the file.
    ///
    /// - Throws: when groups or shapes fit none of them, and when parameters have taken different
    ///   numbers of steps.
    func state(
        orders: [TorchParameterOrder], dimensions: (String) -> [Int]
    ) throws -> OptimizerState {
        var failure: (any Error)?
        for order in orders {
            do {
                return try state(order, dimensions: dimensions)
            } catch {
                failure = failure ?? error
            }
        }
        throw failure ?? Self.error(file, "param_groups", "a model to fit", "none")
    }

    private func state(
        _ order: TorchParameterOrder, dimensions: (String) -> [Int]
    ) throws -> OptimizerState {
        let members = try members(order)
        var steps: Set<Double> = []
        var slots: [String: [String: Tensor]] = [:]
        for (numbers, names) in members {
            for (number, name) in zip(numbers, names) {
                let entry = "state[\(number)], '\(name)'"
                guard let state = states[number], let step = state["step"]?.number else {
                    throw Self.error(file, entry, "the slots of a parameter", "none")
                }
                steps.insert(step)
                for slot in Self.slots {
                    slots[name, default: [:]][slot.own] = try tensor(
                        state[slot.torch], "\(entry), \(slot.torch)", dimensions(name))
                }
            }
        }
        guard steps.count == 1, let step = steps.first.flatMap({ UInt64(exactly: $0) }) else {
            throw Self.error(
                file, "state, step", "the same number of steps for every parameter",
                steps.sorted().map { "\($0)" }.joined(separator: " and "))
        }
        let names = groups.count == 1 ? ["all"] : ["decay", "no_decay"]
        return OptimizerState(
            step: step,
            groups: zip(zip(names, groups), members).filter { !$1.names.isEmpty }.map {
                OptimizerState.Group(
                    name: $0.0, kind: $0.1.kind, hyperparameters: $0.1.hyperparameters,
                    parameters: $1.names.sorted())
            }, slots: slots)
    }

    /// The numbers of each group with the names that they stand for: the Trainer's two groups, or
    /// one of every parameter.
    private func members(
        _ order: TorchParameterOrder
    ) throws -> [(numbers: [Int], names: [String])] {
        let expected = groups.count == 1 ? [order.names] : [order.decayed, order.plain]
        let found = groups.map(\.numbers.count)
        guard found == expected.map(\.count) else {
            throw Self.error(
                file, "param_groups",
                "\(order.decayed.count) parameters with weight decay and \(order.plain.count) "
                    + "without, as this model has", found.map { "\($0)" }.joined(separator: " and ")
            )
        }
        guard groups.flatMap(\.numbers) == Array(0..<order.names.count) else {
            throw Self.error(
                file, "param_groups", "parameters numbered from 0 in order", "other numbers")
        }
        return zip(groups.map(\.numbers), expected).map { (numbers: $0, names: $1) }
    }

    private func tensor(
        _ value: TorchValue?, _ entry: String, _ dimensions: [Int]
    ) throws -> Tensor {
        guard let tensor = value?.tensor, tensor.dtype.isWeight,
            tensor.shape.dimensions == dimensions
        else {
            throw Self.error(
                file, entry, "a tensor of floats \(dimensions)",
                value?.tensor.map { "\($0.dtype.rawValue) \($0.shape)" } ?? value?.kind
                    ?? "nothing")
        }
        return tensor.dtype == .f32 ? tensor : Tensor(tensor.floats(), shape: tensor.shape)
    }

    private static func error(
        _ file: String, _ entry: String, _ expected: String, _ found: String
    ) -> FormatError {
        .entry(file: file, entry: entry, expected: expected, found: found)
    }

    // MARK: Writing

    /// The file's value: two groups, as the Trainer makes them.
    ///
    /// - Throws: when the parameters of one of these groups have different hyper-parameters, or a
    ///   rule that is not Adam.
    static func value(
        of state: OptimizerState, order: TorchParameterOrder, learningRate: Double, peak: Double
    ) throws(TrainingError) -> TorchValue {
        let standard = state.groups.first
        var groups: [TorchValue] = []
        var states: [(key: TorchValue, value: TorchValue)] = []
        for names in [order.decayed, order.plain] {
            let group = try group(of: names, in: state) ?? standard
            guard let group else { continue }
            groups.append(
                try value(
                    of: group, numbers: states.count..<(states.count + names.count),
                    learningRate: learningRate, peak: peak))
            for name in names {
                guard let slots = state.slots[name] else {
                    preconditionFailure("the optimizer has no slots for '\(name)'")
                }
                states.append((.integer(Int64(states.count)), value(of: slots, step: state.step)))
            }
        }
        return .members([
            "state": .dictionary(state.step == 0 ? [] : states), "param_groups": .list(groups),
        ])
    }

    /// The group that all of `names` belong to; nil when there are none.
    private static func group(
        of names: [String], in state: OptimizerState
    ) throws(TrainingError) -> OptimizerState.Group? {
        let wanted = Set(names)
        let groups = state.groups.filter { !wanted.isDisjoint(with: $0.parameters) }
        guard let first = groups.first else { return nil }
        for other in groups.dropFirst()
        where other.kind != first.kind || other.hyperparameters != first.hyperparameters {
            throw .notForTrainer(
                "the groups '\(first.name)' and '\(other.name)' differ, and the Trainer has one "
                    + "group for both")
        }
        return first
    }

    private static func value(
        of group: OptimizerState.Group, numbers: Range<Int>, learningRate: Double, peak: Double
    ) throws(TrainingError) -> TorchValue {
        let isDecoupled = group.kind == "adamw"
        guard isDecoupled || group.kind == "adam", let beta1 = group.hyperparameters["beta1"],
            let beta2 = group.hyperparameters["beta2"],
            let epsilon = group.hyperparameters["epsilon"],
            let decay = group.hyperparameters["weight_decay"]
        else {
            throw .notForTrainer("the optimizer is \(group.kind), expected adamw or adam")
        }
        let factor = group.hyperparameters["learning_rate_factor"] ?? 1
        return .members([
            "weight_decay": .number(decay), "lr": .number(learningRate * factor),
            "betas": .tuple([.number(beta1), .number(beta2)]), "eps": .number(epsilon),
            "amsgrad": false, "maximize": false, "foreach": .none, "capturable": false,
            "differentiable": false, "fused": true, "decoupled_weight_decay": .bool(isDecoupled),
            "initial_lr": .number(peak * factor),
            "params": .list(numbers.map { .integer(Int64($0)) }),
        ])
    }

    private static func value(of slots: [String: Tensor], step: UInt64) -> TorchValue {
        var members: [(key: TorchValue, value: TorchValue)] = [
            ("step", .tensor(Tensor([Float(step)], shape: [])))
        ]
        for slot in Self.slots {
            guard let tensor = slots[slot.own] else {
                preconditionFailure("the state of \(slots.keys) has no slot '\(slot.own)'")
            }
            members.append((.string(slot.torch), .tensor(tensor)))
        }
        return .dictionary(members)
    }
}
