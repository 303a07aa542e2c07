// SPDX-License-Identifier: Apache-2.0
/// Moves the parameters of a model against their gradients; its slots are kept by name.

import CairnEngine
import CairnGraph
import CairnTensor

/// An optimizer over the parameters that train, and everything it remembers between steps.
///
/// Gradients are taken from a `Program`. With `clip` they are scaled by
/// min(1, clip / (norm + 1e-6)), norm being that of all of them together, as torch's
/// clip_grad_norm_.
public final class Optimizer {
    /// In the order in which selectors are asked.
    public let groups: [ParameterGroup]
    /// Updates taken so far.
    public private(set) var step: UInt64 = 0
    /// That of the last update; nil before the first.
    public private(set) var learningRate: Double?
    /// What it moves.
    public let parameters: Parameters
    /// The place in `groups` of every parameter that trains.
    private let places: [String: Int]
    private var slots: [String: [String: Buffer]] = [:]
    /// Names in order, each with its slots in order of their names.
    private var ordered: [(name: String, slots: [Buffer])] = []

    /// Slots of zeros for every parameter that trains, all of them moved by one rule.
    public convenience init(_ rule: UpdateRule = .adamW(), parameters: Parameters) throws {
        try self.init(groups: [ParameterGroup("all", .everything, rule)], parameters: parameters)
    }

    /// Slots of zeros for every parameter that trains, each moved by the rule of the first group
    /// that selects it.
    ///
    /// - Throws: `TrainingError.badGroups` when a parameter is in no group or a group takes none.
    public init(groups: [ParameterGroup], parameters: Parameters) throws {
        self.groups = groups
        self.parameters = parameters
        places = try ParameterGroup.assign(
            parameters.trainableNames, to: groups, dimensions: parameters.dimensions)
        for (name, place) in places {
            var buffers: [String: Buffer] = [:]
            for slot in groups[place].rule.slotNames {
                let buffer = try Buffer(
                    byteCount: count(of: name) * 4, context: parameters.context)
                buffer.zero()
                buffers[slot] = buffer
            }
            slots[name] = buffers
        }
        ordered = slots.sorted { $0.key < $1.key }.map { name, buffers in
            (name, buffers.sorted { $0.key < $1.key }.map(\.value))
        }
    }

    /// The group that moves a parameter.
    public func group(of name: String) -> ParameterGroup? { places[name].map { groups[$0] } }

    private func count(of name: String) -> Int {
        parameters.dimensions(of: name).reduce(1, *)
    }

    /// Moves the parameters against their gradients, names in order.
    ///
    /// - Returns: the norm before clipping. Where it is not finite nothing was moved.
    @discardableResult
    public func update(
        gradientsOf program: Program, learningRate: Double, clip: Double? = nil
    ) throws -> Double {
        try update(try program.finishedGradients(), learningRate: learningRate, clip: clip)
    }

    /// As above, with the gradients at hand.
    func update(
        _ gradients: [String: Floats], learningRate: Double, clip: Double?
    ) throws -> Double {
        let names = parameters.trainableNames
        var squares = 0.0
        for name in names {
            precondition(places[name] != nil, "'\(name)' trains since the optimizer was made")
            guard let gradient = gradients[name] else { continue }
            squares += try parameters.context.sumOfSquares(gradient)
        }
        let norm = squares.squareRoot()
        guard norm.isFinite else { return norm }
        let scale = clip.map { min(1, $0 / (norm + 1e-6)) } ?? 1
        step += 1
        self.learningRate = learningRate
        for name in names {
            guard let gradient = gradients[name] else { continue }
            let (count, group) = (count(of: name), groups[places[name]!])
            try group.rule.move(
                parameters.floats(name), against: gradient,
                slots: slots[name]!.mapValues { $0.floats(count: count) }, t: step,
                learningRate: learningRate * group.learningRateFactor, gradientScale: scale,
                in: parameters.context)
        }
        try parameters.context.finish()
        return norm
    }

    /// A copy of everything that the next step depends on, besides the parameters.
    public var state: OptimizerState {
        var tensors: [String: [String: Tensor]] = [:]
        for (name, buffers) in slots {
            let shape = Shape(parameters.dimensions(of: name))
            tensors[name] = buffers.mapValues { buffer in
                Tensor(shape) { buffer.copyOut(to: $0) }
            }
        }
        return OptimizerState(
            step: step, groups: groupStates, slots: tensors, learningRate: learningRate)
    }

    /// The groups as a state has them.
    var groupStates: [OptimizerState.Group] {
        let members = Dictionary(grouping: places.keys) { places[$0]! }
        return groups.enumerated().map { place, group in
            OptimizerState.Group(
                name: group.name, kind: group.rule.kind, hyperparameters: group.hyperparameters,
                parameters: members[place]!.sorted())
        }
    }

    /// Hands out the bytes of every parameter that trains and of its slots: names in order, slots in
    /// order of their names.
    ///
    /// - Parameter begin: is given each name before its bytes.
    func withStateBytes(
        begin: (_ name: String) -> Void = { _ in }, _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        for (name, slots) in ordered {
            let entry = parameters.entry(name)
            guard entry.isTrainable else { continue }
            begin(name)
            entry.buffer.withHostBytes(body)
            for buffer in slots { buffer.withHostBytes(body) }
        }
    }

    /// Everything that keeps `state` from being restored here, each as a clause; empty when it
    /// fits: a parameter of a group of another kind or of none, a slot that is missing or too many,
    /// another shape or type.
    public func problems(restoring state: OptimizerState) -> [String] {
        var problems = kindProblems(state)
        guard problems.isEmpty else { return problems }
        for name in slots.keys.sorted() {
            let expected = parameters.dimensions(of: name)
            for slot in groups[places[name]!].rule.slotNames {
                guard let tensor = state.slots[name]?[slot] else {
                    problems.append("slot '\(slot)' of '\(name)' is missing")
                    continue
                }
                if tensor.shape.dimensions != expected || tensor.dtype != .f32 {
                    problems.append(
                        "slot '\(slot)' of '\(name)' is \(tensor.dtype.rawValue) \(tensor.shape), "
                            + "expected F32 \(Shape(expected))")
                }
            }
        }
        for (name, own) in state.slots.sorted(by: { $0.key < $1.key }) {
            let known = Set(slots[name].map { Array($0.keys) } ?? [])
            problems += Set(own.keys).subtracting(known).sorted().map {
                "slot '\($0)' of '\(name)' belongs to nothing that trains"
            }
        }
        return problems
    }

    /// One clause per pair of groups that are of different kinds, and per name on one side only.
    private func kindProblems(_ state: OptimizerState) -> [String] {
        var problems: [String] = []
        let (pairs, unknown) = pairedGroups(state)
        for (own, saved) in pairs where own.rule.kind != saved.kind {
            problems.append(
                "group '\(own.name)' of the optimizer is \(own.rule.kind), the state's group "
                    + "'\(saved.name)' is \(saved.kind)")
        }
        let members = Dictionary(grouping: state.groups.flatMap(\.parameters)) { $0 }
        problems += members.filter { $0.value.count > 1 }.keys.sorted().map {
            "the state has '\($0)' in two groups"
        }
        problems += unknown.map { "the state has no group for '\($0)'" }
        for group in state.groups {
            problems += group.parameters.filter { places[$0] == nil }.map {
                "the state's group '\(group.name)' has '\($0)', which does not train"
            }
        }
        return problems
    }

    /// The hyper-parameters in which `state` differs from this optimizer, for parameters of both.
    ///
    /// They do not keep a state from being restored: the optimizer goes on with its own. Whoever
    /// resumes decides whether that is what was asked for.
    public func changes(restoring state: OptimizerState) -> [HyperparameterChange] {
        var changes: [HyperparameterChange] = []
        for (own, saved) in pairedGroups(state).pairs {
            let (current, old) = (own.hyperparameters, saved.hyperparameters)
            for key in Set(current.keys).union(old.keys).sorted() where current[key] != old[key] {
                let change = HyperparameterChange(
                    group: own.name, key: key, saved: old[key], current: current[key])
                if !changes.contains(change) { changes.append(change) }
            }
        }
        return changes
    }

    /// The groups here and in `state` that have a parameter in common, each pair once; and the
    /// parameters that no group of the state has.
    private func pairedGroups(
        _ state: OptimizerState
    ) -> (pairs: [(own: ParameterGroup, saved: OptimizerState.Group)], unknown: [String]) {
        var savedPlaces: [String: Int] = [:]
        for (place, group) in state.groups.enumerated() {
            for name in group.parameters { savedPlaces[name] = place }
        }
        var pairs: [(own: ParameterGroup, saved: OptimizerState.Group)] = []
        var (seen, unknown) = (Set<[Int]>(), [String]())
        for name in places.keys.sorted() {
            let own = places[name]!
            guard let saved = savedPlaces[name] else {
                unknown.append(name)
                continue
            }
            if seen.insert([own, saved]).inserted {
                pairs.append((groups[own], state.groups[saved]))
            }
        }
        return (pairs, unknown)
    }

    /// Takes over a state.
    ///
    /// - Precondition: `problems(restoring:)` finds none.
    public func restore(_ state: OptimizerState) {
        let problems = problems(restoring: state)
        precondition(problems.isEmpty, problems.joined(separator: "; "))
        step = state.step
        learningRate = state.learningRate
        for (name, tensors) in state.slots {
            for (slot, tensor) in tensors {
                tensor.withBytes { slots[name]![slot]!.copyIn(from: $0) }
            }
        }
    }
}
