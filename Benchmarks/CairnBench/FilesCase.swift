// SPDX-License-Identifier: Apache-2.0
/// Tensors of a given size, and what is done with them and their files.

import Cairn
import CairnFormats
import Foundation

/// Random fp32 tensors of `megabytes` (10^6 bytes) in all.
struct FilesCase {
    enum Work: String, CaseIterable {
        case sha256 = "SHA-256"
        case crc32 = "CRC-32"
        case fingerprint = "fingerprint"
        case safetensorsWrite = "safetensors write"
        case safetensorsRead = "safetensors read"
        case npzWrite = "npz write"
        case npzRead = "npz read"

        var writes: Bool { [.safetensorsWrite, .npzWrite].contains(self) }
        var hasPeer: Bool { ![.sha256, .crc32, .fingerprint].contains(self) }
    }

    static let tensorCount = 16

    let megabytes: Int
    let folder: URL
    let tensors: [String: Tensor]
    var bytesPerTensor: Int { megabytes * 1_000_000 / Self.tensorCount / 4 * 4 }
    var byteCount: Int { bytesPerTensor * Self.tensorCount }

    init(megabytes: Int, folder: URL) {
        self.megabytes = megabytes
        self.folder = folder
        let count = megabytes * 1_000_000 / Self.tensorCount / 4
        var stream = RandomStream(seed: 1, name: "files")
        let few = (0..<4096).map { _ in stream.normal() }
        var tensors: [String: Tensor] = [:]
        for index in 0..<Self.tensorCount {
            let numbers = (0..<count).map { few[($0 &* 31 + index) & 4095] }
            tensors["layers.\(index).weight"] = Tensor(numbers, shape: [count])
        }
        self.tensors = tensors
    }

    private func url(_ work: Work) -> URL {
        let isNPZ = [.npzWrite, .npzRead].contains(work)
        return folder.appendingPathComponent("\(megabytes).\(isNPZ ? "npz" : "safetensors")")
    }

    /// Removes the file that some work writes or reads.
    func removeFile(of work: Work) throws { try SystemFiles().removeFile(url(work).path) }

    /// Does the work once; what it computes is kept from being optimized away.
    func run(_ work: Work) throws {
        switch work {
        case .sha256:
            var hash = SHA256()
            for tensor in tensors.values { tensor.withBytes { hash.update($0) } }
            Self.keep(hash.digest)
        case .crc32:
            var sum = CRC32()
            for tensor in tensors.values { tensor.withBytes { sum.update($0) } }
            Self.keep(sum.value)
        case .fingerprint:
            var fingerprint = Fingerprint()
            for tensor in tensors.values { tensor.withBytes { fingerprint.update($0) } }
            Self.keep(fingerprint)
        case .safetensorsWrite:
            try write(work) { sink in try SafetensorsWriter.write(tensors, to: &sink) }
        case .npzWrite: try write(work) { sink in try NPZWriter.write(tensors, to: &sink) }
        case .safetensorsRead, .npzRead: Self.keep(try read(work))
        }
    }

    @inline(never) private static func keep<Value>(_ value: Value) {}

    private func write(_ work: Work, _ body: (inout FileSink) throws -> Void) throws {
        var sink = try FileSink(
            path: url(work).path, files: SystemFiles(synchronizes: false), hashes: false)
        try body(&sink)
        try sink.finish()
    }

    /// The tensors of the file in memory of their own, as the peer gives them.
    private func read(_ work: Work) throws -> [String: Tensor] {
        if work == .npzRead { return try NPZFile(contentsOf: url(work)).tensors(copied: true) }
        return try SafetensorsFile(contentsOf: url(work)).tensors.mapValues { mapped in
            Tensor(mapped.shape, dtype: mapped.dtype) { memory in
                mapped.withBytes { memory.copyMemory(from: $0) }
            }
        }
    }

    /// What is wrong with the result of some work; nil when it is right.
    func problem(of work: Work) throws -> String? {
        switch work {
        case .sha256, .crc32, .fingerprint:
            // Their values have tests of their own; here: alike for the same bytes.
            let bytes = [UInt8]("123456789".utf8)
            let crc = CRC32.of(bytes)
            return crc == 0xCBF4_3926 ? nil : "CRC-32 of its check string is \(crc)"
        case .safetensorsWrite, .npzWrite:
            try run(work)
            return nil
        case .safetensorsRead, .npzRead:
            try run(work == .npzRead ? .npzWrite : .safetensorsWrite)
            let found = try read(work)
            if Set(found.keys) != Set(tensors.keys) { return "names \(found.keys.sorted())" }
            for (name, tensor) in tensors {
                let isSame = tensor.withBytes { expected in
                    found[name]!.withBytes { $0.elementsEqual(expected) }
                }
                if !isSame { return "\(name) has other bytes" }
            }
            return nil
        }
    }
}
