// SPDX-License-Identifier: Apache-2.0
/// The rows of a vocabulary that a run reads of its base's files.

import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnText

/// A table of which a run reads the rows of the tokens that occur, and no others.
package struct TokenTable: Sendable, Equatable {
    package let name: String
    /// Bytes of the whole table, and of a row.
    package let byteCount, rowBytes: Int
    /// What the system brings into memory for the rows of all tokens that occur.
    package let touchedBytes: Int

    /// A fault brings in the pages around it too: 64 KiB in Linux unless set otherwise.
    private static let faultBytes = 65536

    package init(
        _ name: String, rows: Int, _ bytes: UnsafeRawBufferPointer, tokens: Set<Int32>
    ) {
        (self.name, byteCount, rowBytes) = (name, bytes.count, bytes.count / rows)
        let origin = Int(bitPattern: bytes.baseAddress) % Self.faultBytes
        var blocks = Set<Int>()
        for token in tokens {
            let place = origin + Int(token) * rowBytes
            blocks.formUnion(place / Self.faultBytes...(place + rowBytes - 1) / Self.faultBytes)
        }
        touchedBytes = min(blocks.count * Self.faultBytes, byteCount)
    }

    /// What a batch of so many tokens brings into memory, at most but for rows that lie across two
    /// blocks more often than others.
    package func bytes(tokens: Int) -> Int {
        min((tokens + 1) * (Self.faultBytes + rowBytes), touchedBytes)
    }
}

extension FineTuneJob {
    private var occurringTokens: Set<Int32> {
        [tuner.train, tuner.validation, test].compactMap { $0 }
            .reduce(into: []) { set, data in data.ids.forEach { set.formUnion($0) } }
    }

    /// The base's tables with a row for every token.
    var tokenTables: [TokenTable] {
        let tokens = occurringTokens
        return vocabularyTables.map { name, tensor in
            tensor.withBytes {
                TokenTable(name, rows: tensor.shape.dimensions[0], $0, tokens: tokens)
            }
        }
    }

    private var vocabularyTables: [(name: String, tensor: Tensor)] {
        base.model.parameters.compactMap { specification in
            guard specification.dimensions.count == 2,
                specification.dimensions[0] == base.configuration.vocabularySize,
                specification.name.contains("embed"),
                let tensor = base.tensor(named: specification.name)
            else { return nil }
            return (specification.name, tensor)
        }
    }

    /// Reads the rows of every token that occurs, as the run will, so that the memory of this
    /// process grows as the run's would. Tables that are given back are left alone.
    func touchTables() {
        let tokens = occurringTokens
        let released = Set(releasedTables.map(\.name))
        for (name, tensor) in vocabularyTables where !released.contains(name) {
            tensor.withBytes { bytes in
                let row = bytes.count / tensor.shape.dimensions[0]
                var hash = SHA256()
                for token in tokens {
                    let place = Int(token) * row
                    // A digest that nobody asks for: reading without a use may be left out.
                    hash.update(UnsafeRawBufferPointer(rebasing: bytes[place..<place + row]))
                }
            }
        }
    }

    /// What a micro-batch of so many tokens brings into memory of the tables that are given back
    /// after it, in bytes.
    func tableBytes(tokens: Int) -> Int {
        releasedTables.reduce(0) { $0 + $1.bytes(tokens: tokens) }
    }

    /// Gives tables back to the system after every micro-batch, where only rows of them are read,
    /// and says which: their pages would else stay, up to the whole table in a long run.
    func releaseTables() -> [TokenTable] {
        #if canImport(Darwin)
            return []  // There the system takes such pages when it needs them, and not when told.
        #else
            let parameters = tuner.model.parameters
            let names = tuner.program.lookedUpNames
            let tables = tokenTables.filter {
                names.contains($0.name) && parameters.entry($0.name).buffer.isBorrowed
            }
            guard !tables.isEmpty else { return [] }
            tuner.afterEachBatch { [base] in
                for table in tables { base.release(table.name) }
            }
            return tables
        #endif
    }
}

extension FineTuner {
    fileprivate func afterEachBatch(_ body: @escaping () -> Void) {
        program.afterRun = body
        evaluator.program.afterRun = body
    }
}
