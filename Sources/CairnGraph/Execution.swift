// SPDX-License-Identifier: Apache-2.0
/// What an operation sees while a program runs: device memory for every name of the graph.

import CairnEngine

/// The batch on the device, and the memory of values, parameters and gradients.
package final class Execution {
    package let context: Context
    package let precision: Precision
    package let parameters: Parameters
    package private(set) var batch = Batch(sequences: [])

    var plan: MemoryPlan?
    var arena = Arena()
    var constants: [Buffer] = []
    var gradients: [GradientSlot: Gradient] = [:]
    /// Where every group's sum is, while they are kept apart.
    var groupGradients: GroupGradients?

    /// Per row space: positions, step rows, selected rows; each on the device.
    private var places: [RowSpace: (positions: DeviceVector<UInt32>, rowIDs: DeviceVector<UInt32>)]
    private var selections: [RowSpace: DeviceVector<UInt32>] = [:]
    private var integers: [IndexInput: DeviceVector<Int32>] = [:]
    private var classes: DeviceVector<Int32>
    private var values: DeviceVector<Float>
    private let spaces: Set<RowSpace>
    private let inputs: Set<IndexInput>

    init(context: Context, precision: Precision, parameters: Parameters, nodes: [Node]) {
        self.context = context
        self.precision = precision
        self.parameters = parameters
        spaces = Set(nodes.flatMap { $0.inputs + $0.outputs }.map(\.rows)).subtracting([.single])
        inputs = Set(
            nodes.compactMap { node in
                (node.operation as? Embedding)?.index
                    ?? (node.operation as? EmbeddingGradient)?.index
            })
        places = [:]
        for space in spaces {
            places[space] = (DeviceVector(context), DeviceVector(context))
            selections[space] = DeviceVector(context)
        }
        for input in inputs { integers[input] = DeviceVector(context) }
        classes = DeviceVector(context)
        values = DeviceVector(context)
    }

    /// Puts a batch on the device.
    func load(_ batch: Batch) throws(KernelError) {
        self.batch = batch
        for space in spaces {
            let (positions, rowIDs) = batch.places(space)
            try places[space]!.positions.assign(positions)
            try places[space]!.rowIDs.assign(rowIDs)
            try selections[space]!.assign(batch.selection(space))
        }
        for input in inputs {
            switch input {
            case .tokens: try integers[input]!.assign(batch.ids)
            case .types: try integers[input]!.assign(batch.typeIDs)
            case .positions(let offset):
                try integers[input]!.assign(
                    batch.places(.tokens).positions.map { Int32($0) + Int32(offset) })
            }
        }
        try classes.assign(batch.classTargets)
        try values.assign(batch.valueTargets)
    }

    // MARK: What operations ask for

    package var step: UInt32 { batch.step }
    package var lossScale: Float { batch.lossScale }

    package func count(_ rows: RowSpace) -> Int { batch.count(rows) }

    /// Rows of a space that follow one another and have the same factor on the gradient of their
    /// losses: a target of a shared prompt counts for every sequence that shares it.
    package func lossRuns(
        _ space: RowSpace, within rows: Range<Int>
    ) -> [(rows: Range<Int>, scale: Float)] {
        guard space == .targets, !batch.promptLengths.isEmpty else { return [(rows, lossScale)] }
        return batch.targetRuns.compactMap { run in
            let part = run.rows.clamped(to: rows)
            return part.isEmpty ? nil : (part, lossScale * Float(run.count))
        }
    }

    /// The memory of a value, as many rows as the batch has.
    package func matrix(_ value: Value) -> Floats {
        guard let arena = arena.buffer, let offset = plan?.offsets[value.id] else {
            preconditionFailure("value \(value.id) has no place in memory")
        }
        return arena.floats(offset: offset / 4, count: count(value.rows) * value.columns)
    }

    package func operand(_ value: Value) -> MatrixOperand {
        .rows(matrix(value), rows: count(value.rows), columns: value.columns)
    }

    package func weight(_ parameter: ParameterReference) -> Weight {
        let entry = parameters.entry(parameter.name)
        let dimensions = parameter.dimensions
        if entry.buffer.isBorrowed { return entry.buffer.weight }
        return Weight(
            entry.buffer.floats(count: parameter.elementCount),
            rows: dimensions.count == 2 ? dimensions[0] : 1, columns: dimensions.last!)
    }

    /// A parameter kept in fp32.
    package func vector(_ parameter: ParameterReference) -> Floats {
        parameters.floats(parameter.name)
    }

    package func constant(_ constant: Constant) -> Floats {
        constants[constant.index].floats(count: constant.count)
    }

    package func positions(_ rows: RowSpace) -> Words { places[rows]!.positions.view }
    package func rowIDs(_ rows: RowSpace) -> Words { places[rows]!.rowIDs.view }
    package func selection(_ rows: RowSpace) -> Words { selections[rows]!.view }
    package func indices(_ input: IndexInput) -> Integers { integers[input]!.view }
    package func classTargets() -> Integers { classes.view }
    package func offsets(_ rows: RowSpace) -> [UInt32] { batch.offsets(in: rows) }

    package func valueTargets() -> Floats { values.view }

    package func partition(_ rows: RowSpace) -> Partition {
        Partition(
            offsets: batch.offsets(in: rows), groups: batch.groups, resumes: batch.resumes,
            suspends: batch.suspends)
    }

    /// Some rows of a value.
    package func matrix(_ value: Value, _ rows: Range<Int>) -> Floats {
        matrix(value)[rows.lowerBound * value.columns..<rows.upperBound * value.columns]
    }

    /// What a weight gradient over the rows of a space is accumulated in, one after the other.
    func parts(of rows: RowSpace) -> [GradientPart] { parts(of: partition(rows), firstGroup: 0) }

    /// The same for a piece of a partition: `firstGroup` is the place of its first group in it.
    func parts(of partition: Partition, firstGroup: Int) -> [GradientPart] {
        guard groupGradients != nil else {
            return [GradientPart(rows: 0..<partition.rows, partition: partition, group: nil)]
        }
        return partition.byGroup.enumerated().map { place, part in
            GradientPart(
                rows: part.rows, partition: part.partition,
                group: batch.firstGroup + firstGroup + place)
        }
    }

    /// Where the gradient of a slot over some rows goes.
    func gradient(_ slot: GradientSlot, _ part: GradientPart) -> Gradient {
        let whole = gradients[slot]!
        guard let group = part.group else { return whole }
        return Gradient(sum: groupGradients!.sum(of: slot, group: group), open: whole.open)
    }

    package func span(
        _ layout: AttentionLayout, queries: RowSpace, keys: RowSpace
    ) -> AttentionShape {
        AttentionShape(
            heads: layout.heads, kvHeads: layout.keyValueHeads, headDim: layout.headDimension,
            scale: layout.scale, isCausal: layout.isCausal, window: layout.window,
            queryOffsets: batch.offsets(in: queries),
            keyOffsets: batch.offsets(in: keys), queryPositions: positions(queries))
    }

    /// Puts numbers of the host in the place of a value.
    func copy(_ numbers: [Float], into value: Value, _ what: StaticString) {
        precondition(
            numbers.count == count(value.rows) * value.columns,
            "\(what): \(numbers.count) numbers for [\(count(value.rows)), \(value.columns)]")
        numbers.withUnsafeBytes { arena.buffer!.copyIn(from: $0, at: plan!.offsets[value.id]!) }
    }

    package func copyFeatures(into value: Value) {
        precondition(
            batch.features.count == count(value.rows) * value.columns,
            "\(batch.sequenceCount) rows of \(value.columns) features, got \(batch.features.count)")
        batch.features.withUnsafeBytes {
            arena.buffer!.copyIn(from: $0, at: plan!.offsets[value.id]!)
        }
    }
}

extension Buffer {
    /// Whether two buffers have the same bytes.
    func holdsSame(as other: Buffer) -> Bool {
        guard byteCount == other.byteCount, byteCount % 4 == 0 else { return false }
        let (a, b) = (words(count: byteCount / 4), other.words(count: byteCount / 4))
        return context.read(a) == context.read(b)
    }
}

/// A list on the device that grows when a longer one comes.
struct DeviceVector<Element: BitwiseCopyable> {
    private let context: Context
    private var buffer: Buffer?
    private var count = 0

    init(_ context: Context) { self.context = context }

    mutating func assign(_ elements: [Element]) throws(KernelError) {
        let byteCount = elements.count * MemoryLayout<Element>.stride
        if buffer == nil || buffer!.byteCount < byteCount {
            buffer = try Buffer(byteCount: max(byteCount, 64), context: context)
        }
        elements.withUnsafeBytes { buffer!.copyIn(from: $0) }
        count = elements.count
    }

    var view: DeviceArray<Element> { buffer!.array(count: count) }
}
