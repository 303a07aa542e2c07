// SPDX-License-Identifier: Apache-2.0
/// Steps taken again from their gradients: what a resume does with a journal.

import CairnEngine
import CairnGraph
import CairnTensor

extension FineTuner {
    /// What all ranks agree on: the last step that the first one can take from its journal.
    func agreedRecall(_ journal: StepJournal?) throws -> Int {
        guard ranks.size > 1 else { return journal?.last ?? 0 }
        var packet = Packet()
        packet.add(journal?.last ?? 0)
        var first = Packet(try ranks.gather(packet.bytes)[0])
        return try first.number()
    }

    /// The next step as the journal has it; nil when it must be computed.
    func recalled(_ journal: StepJournal?) throws -> StepRecord? {
        let names = program.differentiatedNames.sorted()
        let parameters = model.parameters
        let dimensions = Dictionary(
            uniqueKeysWithValues: names.map { ($0, parameters.dimensions(of: $0)) })
        let record = journal?.record(of: state.step + 1, parameters: dimensions)
        guard ranks.size > 1 else { return record }
        // Where the first rank has it, all take it.
        var packet = Packet()
        if let record { record.add(to: &packet, names: names) }
        let first = try ranks.gather(packet.bytes)[0]
        guard !first.isEmpty else { return nil }
        return try record ?? StepRecord(first, step: state.step + 1, dimensions: dimensions)
    }

    /// Puts the gradients of a step where those of the program are.
    func load(_ record: StepRecord) throws -> [String: Floats] {
        program.zeroGradients()
        let gradients = try program.finishedGradients()
        let context = model.parameters.context
        for (name, target) in gradients {
            record.gradients[name]!.withBytes { bytes in
                context.write(bytes.assumingMemoryBound(to: Float.self), to: target)
            }
        }
        return gradients
    }
}

extension StepRecord {
    /// The message to the other ranks.
    func add(to packet: inout Packet, names: [String]) {
        for number in [entry.loss, totals.weight, totals.seconds] {
            packet.add(Int(bitPattern: UInt(number.bitPattern)))
        }
        for number in [totals.right, totals.judged, totals.tokens] { packet.add(number) }
        for name in names { packet.add(gradients[name]!.floats()) }
    }

    /// The step of such a message; only the first rank has its entry in the ledger.
    init(_ bytes: [UInt8], step: Int, dimensions: [String: [Int]]) throws {
        var packet = Packet(bytes)
        func real() throws -> Double {
            Double(bitPattern: UInt64(UInt(bitPattern: try packet.number())))
        }
        let loss = try real()
        var totals = StepTotals(weight: try real())
        totals.loss = loss
        totals.seconds = try real()
        totals.right = try packet.number()
        totals.judged = try packet.number()
        totals.tokens = try packet.number()
        var gradients: [String: Tensor] = [:]
        for name in dimensions.keys.sorted() {
            let numbers = try packet.floats()
            let shape = Shape(dimensions[name]!)
            guard numbers.count == shape.elementCount else { throw RanksError.garbled }
            gradients[name] = Tensor(numbers, shape: shape)
        }
        self.init(
            entry: LedgerEntry(
                step: step, epoch: 0, batch: "", loss: loss, learningRate: 0, norm: 0, state: ""),
            file: nil, totals: totals, gradients: gradients)
    }
}
