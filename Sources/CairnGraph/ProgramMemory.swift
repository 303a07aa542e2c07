// SPDX-License-Identifier: Apache-2.0
/// The memory of a program: foretold, reserved, shared, and traded for time.

import CairnEngine

/// Memory for the values of a run. Programs that never run at once may share one.
final class Arena {
    var buffer: Buffer?
}

extension Program {
    /// Bytes of activations for batches of this size; gradients and parameters are not in it.
    public func bytes(for capacity: Capacity) -> Int {
        MemoryPlan(nodes: nodes, kept: keptValues, capacity: capacity).byteCount
    }

    /// The same if another part of the forward pass were done twice.
    public func bytes(for capacity: Capacity, _ choice: Recompute) -> Int {
        MemoryPlan(nodes: blueprint.nodes(choice), kept: keptValues, capacity: capacity).byteCount
    }

    /// How many segments of the forward pass could be done again; see `Recompute`.
    public var segmentCount: Int { blueprint.forward.segments.count }

    /// Multiply-adds of matrix products on a batch under a choice.
    package func multiplyAdds(_ batch: Batch, _ choice: Recompute) -> Int {
        blueprint.nodes(choice).reduce(0) { $0 + $1.operation.multiplyAdds($1, batch) }
    }

    /// Bytes of gradients, whatever the batch.
    public var gradientBytes: Int { gradientBuffers.reduce(0) { $0 + $1.byteCount } }

    /// Bytes of the arena as it stands; 0 before the first batch.
    package var arenaByteCount: Int { execution.arena.buffer?.byteCount ?? 0 }

    /// Takes the memory of another program's values for its own, which then run one at a time,
    /// and its constants where both have the same.
    package func shareMemory(of other: Program) {
        precondition(
            execution.context === other.execution.context, "memory belongs to one context")
        execution.arena = other.execution.arena
        capacity = nil
        for (index, constant) in execution.constants.enumerated() {
            if let same = other.execution.constants.first(where: { $0.holdsSame(as: constant) }) {
                execution.constants[index] = same
            }
        }
    }

    /// Allocates the arena for batches up to `capacity`; larger ones grow it when they come.
    public func reserve(_ capacity: Capacity) throws(KernelError) {
        let plan = MemoryPlan(nodes: nodes, kept: keptValues, capacity: capacity)
        let arena = execution.arena
        if arena.buffer == nil || arena.buffer!.byteCount < plan.byteCount {
            // Given back before it is asked for anew: the two need not fit beside each other.
            arena.buffer = nil
            arena.buffer = try Buffer(
                byteCount: max(plan.byteCount, 64), context: execution.context)
        }
        execution.plan = plan
        self.capacity = capacity
    }

    /// Chooses what is done twice from the next run on; the results keep their bits.
    public func setRecompute(_ choice: Recompute) {
        guard choice != recompute else { return }
        recompute = choice
        nodes = blueprint.nodes(choice)
        execution.plan = nil
        execution.arena.buffer = nil
        capacity = nil
    }
}
