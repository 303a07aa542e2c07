// SPDX-License-Identifier: Apache-2.0
/// Tables of which only rows are read leave memory after every micro-batch, where it is limited.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct TokenTableTests {
    static let block = 65536

    /// What a table of 256 rows of 4096 bytes counts for, `offset` bytes behind a block's start.
    private func table(_ tokens: Set<Int32>, offset: Int) -> TokenTable {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: offset + 256 * 4096, alignment: Self.block)
        defer { memory.deallocate() }
        return TokenTable(
            "table", rows: 256, UnsafeRawBufferPointer(rebasing: memory[offset...]), tokens: tokens)
    }

    @Test func `a row brings in the whole blocks that it lies in`() {
        #expect(table([], offset: 0).touchedBytes == 0)
        #expect(table([0, 1, 15], offset: 0).touchedBytes == Self.block)
        #expect(table([0, 16, 255], offset: 0).touchedBytes == 3 * Self.block)
        #expect(table([15], offset: 2048).touchedBytes == 2 * Self.block)
        let all = table(Set(0..<256), offset: 2048)
        #expect(all.byteCount == 256 * 4096 && all.rowBytes == 4096)
        #expect(all.touchedBytes == all.byteCount, "17 blocks, and no more than there is")
    }

    @Test func `a batch brings in a block and a row for each token, and no more than the run`() {
        let table = table([0, 16, 32, 48, 255], offset: 0)

        #expect(table.bytes(tokens: 1) == 2 * (Self.block + 4096))
        #expect(table.bytes(tokens: 3) == 4 * (Self.block + 4096))
        #expect(table.bytes(tokens: 100) == 5 * Self.block)
    }

    @Test func `a run with limited memory gives them back, and ends with the same bits`() throws {
        let variant = RunVariant.all[0]
        let expected = try variant.golden().job().run()
        var golden = try variant.golden()
        golden.options.memory = 1 << 40

        let job = try golden.job()

        #if !canImport(Darwin)
            #expect(job.releasedTables.map(\.name) == ["model.embed_tokens.weight"])
        #endif
        #expect(try job.run().stateDigest == expected.stateDigest)
        #expect(try variant.golden().job().releasedTables == [])
    }

    /// A head that is the table reads all of it; so does an optimizer.
    @Test func `what is read whole stays`() throws {
        var golden = try RunVariant.all[0].golden()
        golden.options.memory = 1 << 40
        let base = golden.directory.file("base")
        try FileManager.default.copyItem(at: golden.options.model, to: base)
        let file = base.appendingPathComponent("config.json")
        var config = try JSONValue.parse(contentsOf: file)
        config["tie_word_embeddings"] = true
        config["id2label"] = ["0": "LABEL_0", "1": "LABEL_1"]
        try config.serialized().write(to: file)
        golden.options.model = base
        golden.options.problem = .causal
        #expect(try golden.job().releasedTables == [])

        var full = try RunVariant.all[0].golden()
        full.options.memory = 1 << 40
        full.options.method = .full
        #expect(try full.job().releasedTables == [])
    }
}
