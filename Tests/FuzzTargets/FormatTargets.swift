// SPDX-License-Identifier: Apache-2.0
/// Targets for the readers of files that hold numbers and settings.

import CairnFormats
import CairnTensor
import Foundation

extension FuzzTarget {
    /// What is accepted is written and read back as the same value.
    static let json = FuzzTarget(name: "json", lengthLimit: 4096) { bytes in
        let value = try JSONValue.parse(bytes: bytes, file: "x")
        let again = try JSONValue.parse(value.serialized(pretty: false), file: "y")
        precondition(again == value, "the document does not read back as it was written")
    }

    /// Every tensor is reached through the file, as a loader does.
    static let safetensors = FuzzTarget(name: "safetensors", lengthLimit: 4096) { bytes in
        try FuzzDirectory.with([("x.safetensors", bytes)]) { directory in
            let file = try SafetensorsFile(
                contentsOf: directory.appendingPathComponent("x.safetensors"))
            touch(file.tensors)
        }
    }

    /// The input is a length of 16 bits, an index of that length, and one shard.
    static let safetensorsShards = FuzzTarget(name: "safetensors-shards", lengthLimit: 4096) {
        bytes in
        let (index, shard) = split(bytes)
        let files = [("model.safetensors.index.json", index), ("a.safetensors", shard)]
        try FuzzDirectory.with(files) { directory in
            let model = try SafetensorsDirectory(contentsOf: directory)
            touch(model.names.reduce(into: [:]) { $0[$1] = model.tensor(named: $1) })
            precondition(model.files.count == 1, "a file outside of the directory was opened")
        }
    }

    /// Every entry is unpacked, within a bound, as the readers over archives do.
    static let zip = FuzzTarget(name: "zip", lengthLimit: 8192) { bytes in
        try FuzzDirectory.with([("x.zip", bytes)]) { directory in
            let archive = try ZipReader(contentsOf: directory.appendingPathComponent("x.zip"))
            for entry in archive.entries {
                let contents = try archive.contents(of: entry, limit: 1 << 20)
                withExtendedLifetime(contents) { sum(contents.bytes[...]) }
            }
        }
    }

    /// The input without its digest, which is made right, so that changes meet the members.
    static let manifest = FuzzTarget(name: "manifest", lengthLimit: 2048) { bytes in
        var json = try JSONValue.parse(bytes: bytes, file: "x")
        if json.object != nil {
            json["sha256"] = nil
            json["sha256"] = .string(SHA256.hex(of: try json.serialized(pretty: false)))
        }
        let manifest = try Manifest(json, file: "x")
        let again = try Manifest(
            try JSONValue.parse(try manifest.serialized(), file: "y"), file: "y")
        precondition(again == manifest, "the manifest does not read back as it was written")
    }

    // MARK: Support

    /// Reads every byte of every tensor.
    static func touch(_ tensors: [String: Tensor]) {
        for tensor in tensors.values { tensor.withBytes { sum($0[...]) } }
    }

    static func sum(_ bytes: some Sequence<UInt8>) {
        let total = bytes.reduce(UInt64(0)) { $0 &+ UInt64($1) }
        precondition(total < .max, "the bytes cannot all be read")
    }

    /// A part whose length stands before it, and the rest.
    static func split(
        _ bytes: UnsafeRawBufferPointer
    ) -> (UnsafeRawBufferPointer, UnsafeRawBufferPointer) {
        guard bytes.count >= 2 else { return (bytes, UnsafeRawBufferPointer(start: nil, count: 0)) }
        let rest = bytes.dropFirst(2)
        let length = Int(bytes[0]) | Int(bytes[1]) << 8
        return (
            UnsafeRawBufferPointer(rebasing: rest.prefix(length)),
            UnsafeRawBufferPointer(rebasing: rest.dropFirst(length))
        )
    }
}
