// SPDX-License-Identifier: Apache-2.0
/// Torch files of the repository, and archives around pickles made by hand.

import CairnFormats
import CairnTensor
import Foundation

enum TorchFixture {
    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/torch")

    static func value(_ name: String) throws -> TorchValue {
        try TorchFile(contentsOf: directory.appendingPathComponent(name)).value
    }
}

/// A torch file of the entries; the error's sentence speaks of `FILE`.
func openTorch(_ entries: [(name: String, bytes: [UInt8])]) throws -> TorchValue {
    try withScratchDirectory { directory in
        let url = directory.appendingPathComponent("x.pt")
        var sink = DataSink()
        var zip = ZipWriter()
        for (name, bytes) in entries {
            try bytes.withUnsafeBytes { try zip.add(name, [$0], to: &sink) }
        }
        try zip.finish(to: &sink)
        try sink.data.write(to: url)
        do {
            return try TorchFile(contentsOf: url).value
        } catch {
            throw Sentence("\(error)".replacingOccurrences(of: url.path, with: "FILE"))
        }
    }
}

/// A torch file of a pickle and of storages by key.
func openTorch(pickle: [UInt8], storages: [String: [UInt8]] = [:]) throws -> TorchValue {
    try openTorch(
        [("x/data.pkl", pickle), ("x/version", Array("3\n".utf8))]
            + storages.sorted { $0.key < $1.key }.map { ("x/data/" + $0.key, $0.value) })
}

/// Pieces of pickles.
enum Pickle {
    static func string(_ text: String) -> [UInt8] {
        [0x8C, UInt8(text.utf8.count)] + Array(text.utf8)
    }

    static func global(_ name: String) -> [UInt8] { Array("c\(name)\n".utf8) }

    static func integer(_ value: Int32) -> [UInt8] {
        Array("J".utf8) + withUnsafeBytes(of: value.littleEndian, Array.init)
    }

    static func tuple(_ items: [[UInt8]]) -> [UInt8] { [0x28] + items.joined() + [0x74] }

    static func storage(_ count: Int32, key: String = "0") -> [UInt8] {
        tuple([
            string("storage"), global("torch\nFloatStorage"), string(key), string("cpu"),
            integer(count),
        ]) + Array("Q".utf8)
    }

    /// A tensor of fp32 over a storage of `count` elements.
    static func tensor(
        _ count: Int32, offset: Int32, sizes: [Int32], strides: [Int32]
    ) -> [UInt8] {
        global("torch._utils\n_rebuild_tensor_v2")
            + tuple([
                storage(count), integer(offset), tuple(sizes.map(integer)),
                tuple(strides.map(integer)), [0x89],
                global("collections\nOrderedDict") + Array(")R".utf8),
            ]) + Array("R".utf8)
    }

    static func file(_ body: [UInt8]) -> [UInt8] { [0x80, 2] + body + Array(".".utf8) }
}
