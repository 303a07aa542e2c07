// SPDX-License-Identifier: Apache-2.0
/// The liveness plan: no value is overwritten while something still reads it.

import CairnEngine
import CairnGraph
import TestSupport
import Testing

@Suite struct MemoryPlanTests {
    static let capacities = [
        Capacity(tokens: 16, sequences: 4), Capacity(tokens: 1, sequences: 1),
        Capacity(tokens: 640, sequences: 3), Capacity(tokens: 5, sequences: 5),
    ]

    @Test(arguments: [Trained.adapters, .everything, .lastAdapters], capacities)
    func `no two live values overlap`(trained: Trained, capacity: Capacity) throws {
        let program = try SmallDecoder(try Workshop(), trained: trained).program()
        for choice in [Recompute()] + RecomputeTests.choices {
            program.setRecompute(choice)

            let plan = MemoryPlan(
                nodes: program.nodes, kept: program.keptValues, capacity: capacity)

            let faults = overlaps(program.nodes, program.keptValues, plan, capacity)
            #expect(faults == [])
            let total = program.nodes.flatMap(\.outputs).reduce(0) { $0 + size($1, capacity) }
            #expect(plan.byteCount < total, "memory is used again")
        }
    }

    @Test func `the checker finds an overlap`() throws {
        let program = try SmallDecoder(try Workshop()).program()
        let capacity = Self.capacities[0]
        // A plan for one token, read as one for sixteen: values are too close together.
        let plan = MemoryPlan(
            nodes: program.nodes, kept: program.keptValues,
            capacity: Capacity(tokens: 1, sequences: 1))

        #expect(overlaps(program.nodes, program.keptValues, plan, capacity) != [])
    }

    @Test(arguments: capacities)
    func `the bytes foretold are the bytes allocated`(capacity: Capacity) throws {
        let program = try SmallDecoder(try Workshop()).program()
        #expect(program.arenaByteCount == 0)

        try program.reserve(capacity)

        #expect(program.arenaByteCount == program.bytes(for: capacity))
        #expect(program.bytes(for: capacity) > 0)
    }

    @Test func `a larger batch grows the arena, a smaller one keeps it`() throws {
        let program = try SmallDecoder(try Workshop()).program()
        try program.run(SmallDecoder.part(0..<1))
        let small = program.arenaByteCount

        let whole = try program.run(SmallDecoder.batch)
        let large = program.arenaByteCount
        try program.run(SmallDecoder.part(0..<1))

        #expect(small < large)
        #expect(program.arenaByteCount == large)
        #expect(bitMismatch(try program.run(SmallDecoder.batch).losses, whole.losses) == nil)
    }

    @Test func `an element-wise operation takes over what nothing else reads`() throws {
        var graph = Graph()
        let x = graph.features(columns: 16)
        let y = graph.scaled(x, by: 2)
        let z = graph.add(y, y)
        let u = graph.add(y, z)

        let plan = MemoryPlan(
            nodes: graph.nodes, kept: [u], capacity: Capacity(tokens: 0, sequences: 1))

        #expect(plan.offsets[y.id] == plan.offsets[x.id], "x is read once")
        #expect(plan.offsets[z.id] != plan.offsets[y.id], "y is read later")
        #expect(plan.offsets[u.id] == plan.offsets[y.id], "y is read for the last time")
        #expect(plan.byteCount == 2 * 64)
    }

    @Test func `an output keeps its memory though it could be taken over`() throws {
        let graph = Graph.scaledTwice
        let values = graph.nodes.map { $0.outputs[0] }

        let plan = MemoryPlan(
            nodes: graph.nodes, kept: Array(values[1...]),
            capacity: Capacity(tokens: 0, sequences: 1))

        #expect(plan.offsets[values[1].id] == plan.offsets[values[0].id])
        #expect(plan.offsets[values[2].id] != plan.offsets[values[1].id])
    }

    @Test func `one value in two places is not written in place`() throws {
        var graph = Graph()
        let x = graph.features(columns: 16)
        let y = graph.add(x, x)

        let plan = MemoryPlan(
            nodes: graph.nodes, kept: [y], capacity: Capacity(tokens: 0, sequences: 1))

        #expect(plan.offsets[y.id] != plan.offsets[x.id])
    }

    private func size(_ value: Value, _ capacity: Capacity) -> Int {
        capacity.rows(value.rows) * value.columns * 4
    }

    /// Walks the plan: whenever a node writes, its outputs may lie only where no value is that it
    /// or a later node reads, but for the one input that it works on in place.
    private func overlaps(
        _ nodes: [Node], _ kept: [Value], _ plan: MemoryPlan, _ capacity: Capacity
    ) -> [String] {
        var lastRead: [Int: Int] = [:]
        for (index, node) in nodes.enumerated() {
            for input in node.inputs { lastRead[input.id] = index }
        }
        for value in kept { lastRead[value.id] = nodes.count }
        var faults: [String] = []
        var written: [Value] = []
        func range(_ value: Value) -> Range<Int> {
            let start = plan.offsets[value.id]!
            return start..<start + size(value, capacity)
        }
        for (index, node) in nodes.enumerated() {
            let inPlace = node.operation.inPlaceInput.map { node.inputs[$0].id }
            for (place, output) in node.outputs.enumerated() {
                if range(output).upperBound > plan.byteCount { faults.append("\(output) outside") }
                for value in written where lastRead[value.id, default: -1] >= index {
                    let takesOver =
                        value.id == inPlace && place == 0
                        && lastRead[value.id] == index && range(value) == range(output)
                        && node.inputs.filter { $0.id == value.id }.count == 1
                    if range(value).overlaps(range(output)), !takesOver {
                        faults.append("\(node.kind) \(index) overwrites value \(value.id)")
                    }
                }
                for other in node.outputs[..<place] where range(other).overlaps(range(output)) {
                    faults.append("\(node.kind) \(index): outputs overlap")
                }
            }
            written += node.outputs
        }
        return faults
    }
}

extension Graph {
    /// y = 2 x, z = 3 y.
    fileprivate static var scaledTwice: Graph {
        var graph = Graph()
        let y = graph.scaled(graph.features(columns: 16), by: 2)
        _ = graph.scaled(y, by: 3)
        return graph
    }
}

extension Capacity: CustomTestStringConvertible {
    public var testDescription: String { "\(tokens) tokens, \(sequences) sequences" }
}
