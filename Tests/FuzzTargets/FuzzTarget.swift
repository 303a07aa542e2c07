// SPDX-License-Identifier: Apache-2.0
/// A reader of bytes that nobody vouches for, as the fuzzer and its replay call it.

import Foundation

/// One reader under one door: bytes in; an error of its module, or a value that keeps its promises.
///
/// A target traps where a value that was accepted breaks a promise: what was read does not read
/// back, a range leaves the file.
package struct FuzzTarget: Sendable {
    package let name: String

    /// Longer inputs add time and no new paths.
    package let lengthLimit: Int

    /// Reads the bytes as the outside world would have them read.
    package let read: @Sendable (UnsafeRawBufferPointer) throws -> Void

    package static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }

    package static let all: [FuzzTarget] = [
        .json, .safetensors, .safetensorsShards, .zip, .npy, .npz, .marshal, .mlxRuby, .torch,
        .pickle, .apr, .aprVersion1, .manifest, .tensorFile, .tokenizer, .corpus,
    ]
}

/// Directories for readers that only open files.
enum FuzzDirectory {
    /// Calls `body` with a new directory that holds `files`, and removes it.
    static func with<Result>(
        _ files: [(name: String, bytes: UnsafeRawBufferPointer)],
        _ body: (URL) throws -> Result
    ) throws -> Result {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("cairn-fuzz-\(UInt64.random(in: .min ... .max))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (name, bytes) in files {
            try Data(bytes).write(to: directory.appendingPathComponent(name))
        }
        return try body(directory)
    }
}
