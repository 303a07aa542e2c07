// SPDX-License-Identifier: Apache-2.0
/// A graph made ready to run: passes applied, memory planned, gradients in place.

import CairnEngine
import CairnTensor

/// What a model computes for a batch, and for training the gradient of every parameter that trains.
///
/// Not for use by two threads at once: it owns one arena and works on one context.
public final class Program {
    /// What a run returns.
    public struct Result: Sendable {
        /// Row-major numbers of each output, in the order given.
        public let outputs: [[Float]]
        /// The loss of each row of the logits; empty without a loss.
        public let losses: [Float]
    }

    /// What is done twice to save memory.
    public internal(set) var recompute = Recompute()
    package internal(set) var nodes: [Node]
    let blueprint: Blueprint
    private let outputs: [Value]
    private let losses: Value?
    let execution: Execution
    var capacity: Capacity?
    /// Gradient memory, kept alive here: the slots of `execution` are views of it.
    var gradientBuffers: [Buffer] = []
    let slots: [GradientSlot]

    /// Told about every operation of a run as it ends; nil as a rule, and then nothing is timed.
    package var observer: ((Observation) -> Void)?

    /// Called after every run; nil as a rule.
    package var afterRun: (() -> Void)?

    /// Prepares `graph` to compute `outputs`; with a loss on `logits` and `differentiates`, also
    /// the gradients. Logits that are not among the outputs need not be in memory all at once.
    public convenience init(
        _ graph: Graph, outputs: [Value], loss: (loss: Loss, logits: Value)? = nil,
        differentiates: Bool = false, parameters: Parameters, precision: Precision = .fp32
    ) throws(KernelError) {
        try self.init(
            graph, outputs: outputs, loss: loss, differentiates: differentiates,
            parameters: parameters, precision: precision, lossChunk: nil)
    }

    /// The same, with the number of rows whose logits are in memory at once.
    package convenience init(
        _ graph: Graph, outputs: [Value], loss: (loss: Loss, logits: Value)?,
        differentiates: Bool, parameters: Parameters, precision: Precision, lossChunk: Int?
    ) throws(KernelError) {
        let roots = outputs + (loss.map { [$0.logits] } ?? [])
        var (pruned, named) = graph.withoutDeadCode(outputs: roots).rowsPruned(outputs: roots)
        var losses: Value?
        var forwardValues = pruned.valueCount
        if let loss {
            let logits = named.removeLast()
            if let fused = pruned.lossFused(
                loss.loss, logits, kept: named, differentiates: differentiates,
                chunk: lossChunk)
            {
                (pruned, losses) = (fused.graph, fused.losses)
                forwardValues = pruned.valueCount
                if let seed = fused.seed { pruned = pruned.differentiated(seeds: [seed]) }
            } else {
                let (rows, gradient) = pruned.loss(loss.loss, logits)
                losses = rows
                forwardValues = pruned.valueCount
                if differentiates {
                    let logits = pruned.nodes.last!.inputs[0]
                    pruned = pruned.differentiated(seeds: [(logits, gradient)])
                }
            }
        }
        try self.init(
            prepared: pruned, forwardValues: forwardValues, outputs: named, losses: losses,
            parameters: parameters, precision: precision)
    }

    /// Prepares a graph that records its own loss: `losses` is a number per row.
    ///
    /// - Precondition: `losses` has one column, and every operation from the logits to it a
    ///   gradient.
    public convenience init(
        _ graph: Graph, outputs: [Value], losses: Value, differentiates: Bool = false,
        parameters: Parameters, precision: Precision = .fp32
    ) throws(KernelError) {
        precondition(losses.columns == 1, "a loss is one number per row, not \(losses.columns)")
        let roots = outputs + [losses]
        var (pruned, named) = graph.withoutDeadCode(outputs: roots).rowsPruned(outputs: roots)
        let rows = named.removeLast()
        let forwardValues = pruned.valueCount
        if differentiates {
            let seed = pruned.record(LossSeed(), [], [(rows.rows, 1)])[0]
            pruned = pruned.differentiated(seeds: [(rows, seed)])
        }
        try self.init(
            prepared: pruned, forwardValues: forwardValues, outputs: named, losses: rows,
            parameters: parameters, precision: precision)
    }

    private init(
        prepared: Graph, forwardValues: Int, outputs: [Value], losses: Value?,
        parameters: Parameters, precision: Precision
    ) throws(KernelError) {
        let kept = outputs + [losses].compactMap { $0 }
        blueprint = Blueprint(prepared, kept: kept, forwardValues: forwardValues)
        nodes = blueprint.nodes(Recompute())
        self.outputs = outputs
        self.losses = losses
        slots = nodes.flatMap(\.operation.gradientSlots)
        let context = parameters.context
        execution = Execution(
            context: context, precision: precision, parameters: parameters, nodes: nodes)
        for numbers in prepared.constants {
            let buffer = try Buffer(byteCount: numbers.count * 4, context: context)
            numbers.withUnsafeBytes { buffer.copyIn(from: $0) }
            execution.constants.append(buffer)
        }
        try allocateGradients(context)
        checkParameters(parameters)
    }

    private func allocateGradients(_ context: Context) throws(KernelError) {
        for slot in slots {
            let count = slot.parameter.elementCount
            let sum = try Buffer(byteCount: count * 4, context: context)
            let open = try Buffer(byteCount: count * 4, context: context)
            gradientBuffers += [sum, open]
            execution.gradients[slot] = Gradient(
                sum: sum.floats(count: count), open: open.floats(count: count))
        }
        zeroGradients()
    }

    /// Keeps the gradients of up to `count` groups apart, each in one piece of memory, instead of
    /// adding every group to those before it: for ranks, that add them to those of other ranks.
    ///
    /// `finishedGradients` then gives what is in `GroupGradients.total`.
    package func separateGroups(_ count: Int) throws(KernelError) {
        gradientBuffers = []
        let groups = try GroupGradients(slots, groups: count, context: execution.context)
        execution.groupGradients = groups
        gradientBuffers = groups.buffers
        for slot in slots {
            let count = slot.parameter.elementCount
            let open = try Buffer(byteCount: count * 4, context: execution.context)
            gradientBuffers.append(open)
            execution.gradients[slot] = Gradient(
                sum: groups.total(of: slot), open: open.floats(count: count))
        }
        zeroGradients()
    }

    /// The gradients of groups, where they are kept apart.
    package var groupGradients: GroupGradients? { execution.groupGradients }

    private func checkParameters(_ parameters: Parameters) {
        for reference in nodes.flatMap(\.operation.parameters) {
            let entry = parameters.entry(reference.name)
            precondition(
                entry.dimensions == reference.dimensions
                    && entry.isTrainable == reference.isTrainable,
                "'\(reference.name)' is recorded as \(reference.dimensions), holds \(entry.dimensions)"
            )
        }
    }

    /// Names of the parameters whose gradients a run computes.
    public var differentiatedNames: Set<String> { Set(slots.map(\.parameter.name)) }

    /// Parameters of which a run reads the rows that its batch names, and no others.
    package var lookedUpNames: Set<String> {
        func names(_ isLookup: Bool) -> Set<String> {
            let chosen = nodes.filter { ($0.operation is Embedding) == isLookup }
            return Set(chosen.flatMap(\.operation.parameters).map(\.name))
        }
        return names(true).subtracting(names(false))
    }

    /// Number of operations in a run.
    public var operationCount: Int { nodes.count }

    package var keptValues: [Value] { outputs + [losses].compactMap { $0 } }

    /// Runs every operation on a batch. Gradients are added to those already there.
    @discardableResult
    public func run(_ batch: Batch) throws(KernelError) -> Result {
        let needed = Capacity(of: batch)
        // A program that shares the memory may have given it back.
        if capacity == nil || !capacity!.holds(needed)
            || arenaByteCount < execution.plan!.byteCount
        {
            try reserve(capacity?.union(needed) ?? needed)
        }
        try execution.load(batch)
        for (index, node) in nodes.enumerated() {
            if observer != nil {
                try observe(node, at: index)
            } else {
                try perform(node)
            }
        }
        let result = Result(
            outputs: outputs.map { execution.context.read(execution.matrix($0)) },
            losses: losses.map { execution.context.read(execution.matrix($0)) } ?? [])
        try execution.context.finish()
        afterRun?()
        return result
    }

    private func perform(_ node: Node) throws(KernelError) {
        try prepare(node)
        try node.operation.run(node, execution)
    }

    private func observe(_ node: Node, at index: Int) throws(KernelError) {
        let clock = ContinuousClock()
        let start = clock.now
        try perform(node)
        let duration = (clock.now - start).components
        let seconds = Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
        observer!(Observation(index: index, kind: node.kind, seconds: seconds))
    }

    /// An accumulating operation whose earlier sum is still read elsewhere starts from a copy.
    private func prepare(_ node: Node) throws(KernelError) {
        guard (node.operation as? any Accumulating)?.accumulates == true,
            let input = node.operation.inPlaceInput.map({ node.inputs[$0] }),
            let plan = execution.plan,
            plan.offsets[input.id] != plan.offsets[node.outputs[0].id]
        else { return }
        try execution.context.scale(
            execution.matrix(input), by: 1, into: execution.matrix(node.outputs[0]))
    }

    /// The least work of each operation of a run on a batch, in order.
    package func costs(of batch: Batch) -> [Cost] {
        nodes.map { $0.cost(batch, execution.parameters) }
    }

    // MARK: Gradients

    /// Clears every gradient, at the start of an optimizer step.
    public func zeroGradients() {
        for buffer in gradientBuffers { buffer.zero() }
    }

    /// Adds up the uses of tied parameters, at the end of an optimizer step, and returns the
    /// gradient of each parameter, in place.
    package func finishedGradients() throws(KernelError) -> [String: Floats] {
        var result: [String: Floats] = [:]
        for slot in slots.sorted(by: { $0.use < $1.use }) {
            let sum = execution.gradients[slot]!.sum
            if let first = result[slot.parameter.name] {
                try execution.context.add(first, sum, into: first)
            } else {
                result[slot.parameter.name] = sum
            }
        }
        return result
    }
}
