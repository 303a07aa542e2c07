// SPDX-License-Identifier: Apache-2.0
/// A file of `torch.save`: tensors and plain data, read without running anything.

import CairnTensor
import Foundation

/// One file of torch 1.6 or later, whose tensors are views of the mapped file.
///
///     a zip archive of stored entries, all in one folder:
///     data.pkl    a pickle, protocol 2, in which storages are named by number
///     data/<key>  the bytes of a storage
///     byteorder   "little"
///     version     the version of the container, 3
///
/// A pickle can name any function of Python, and loading it the usual way calls it. Here only data
/// is read (see `Unpickler`); everything else is refused by name and byte. Files that hold objects,
/// such as `training_args.bin`, are refused therefore.
///
/// Source: torch/serialization.py and caffe2/serialize of torch 2.13.
public struct TorchFile: Sendable {
    /// A pickle of states is some hundred bytes per tensor; 16 MiB are 50 000 of them.
    static let pickleLimit = 1 << 24
    static let versions = 1...10

    /// The file.
    public let url: URL
    /// What it holds, as data.
    public let value: TorchValue

    /// Reads and checks everything, checksums of storages included.
    public init(contentsOf url: URL) throws(FormatError) {
        self.url = url
        let archive = try TorchArchive(contentsOf: url)
        let pickle = try archive.contents(of: "data.pkl", limit: Self.pickleLimit)
        defer { withExtendedLifetime(pickle) {} }
        value = try Self.value(
            ofPickle: UnsafeRawBufferPointer(pickle.bytes), file: url.path
        ) { key throws(FormatError) in
            try archive.contents(of: "data/" + key, limit: Int.max)
        }
    }

    /// The value of `data.pkl` alone; `storage` gives the bytes of `data/<key>`, and is asked once
    /// for each.
    package static func value(
        ofPickle bytes: UnsafeRawBufferPointer, file: String,
        storage: @escaping (_ key: String) throws(FormatError) -> TensorStorage
    ) throws(FormatError) -> TorchValue {
        let storages = TorchStorages(file: file, read: storage)
        var unpickler = Unpickler(bytes, file: file) { description throws(FormatError) in
            try storages.tensor(description)
        }
        return try unpickler.run()
    }
}

/// The archive with its one folder.
private struct TorchArchive {
    let url: URL
    private let zip: ZipReader
    private let folder: String

    init(contentsOf url: URL) throws(FormatError) {
        self.url = url
        zip = try ZipReader(contentsOf: url)
        let suffix = "/data.pkl"
        let pickles = zip.entries.filter {
            $0.name.hasSuffix(suffix) && !$0.name.dropLast(suffix.count).contains("/")
        }
        guard pickles.count == 1 else {
            throw .entry(
                file: url.path, entry: "data.pkl", expected: "one, in a folder of its own",
                found: "\(pickles.count)")
        }
        folder = String(pickles[0].name.dropLast(suffix.count - 1))
        try check("byteorder", isOptional: true, expected: "little") { $0 == "little" }
        let versions = TorchFile.versions
        try check(
            "version", isOptional: false,
            expected: "a version from \(versions.lowerBound) to \(versions.upperBound)"
        ) { Int($0.trimmingCharacters(in: .newlines)).map(versions.contains) ?? false }
    }

    private func check(
        _ name: String, isOptional: Bool, expected: String, _ isRight: (String) -> Bool
    ) throws(FormatError) {
        if isOptional && zip.entry(named: folder + name) == nil { return }
        let storage = try contents(of: name, limit: 32)
        let text = String(decoding: storage.bytes, as: UTF8.self)
        guard isRight(text) else {
            throw .entry(file: url.path, entry: name, expected: expected, found: "'\(text)'")
        }
    }

    func contents(of name: String, limit: Int) throws(FormatError) -> TensorStorage {
        guard let entry = zip.entry(named: folder + name) else {
            throw .entry(
                file: url.path, entry: "archive", expected: "an entry '\(folder)\(name)'",
                found: "none")
        }
        guard entry.method == .stored else {
            throw .entry(
                file: url.path, entry: "entry '\(entry.name)'", expected: "stored bytes",
                found: "packed ones")
        }
        return try zip.contents(of: entry, limit: limit)
    }
}

/// The storages of a file, each read once.
private final class TorchStorages {
    private let file: String
    private let read: (String) throws(FormatError) -> TensorStorage
    private var known: [ByteKey: TensorStorage] = [:]

    init(file: String, read: @escaping (String) throws(FormatError) -> TensorStorage) {
        self.file = file
        self.read = read
    }

    func tensor(_ description: TensorDescription) throws(FormatError) -> Tensor {
        let reference = description.storage
        let storage: TensorStorage
        if let found = known[ByteKey(reference.key)] {
            storage = found
        } else {
            storage = try read(reference.key)
            known[ByteKey(reference.key)] = storage
        }
        let needed = reference.dtype.byteCount(elements: reference.elementCount)
        guard storage.bytes.count == needed else {
            throw .entry(
                file: file, entry: "data/\(reference.key)",
                expected: "\(reference.elementCount) elements of \(reference.dtype.rawValue)",
                found: "\(storage.bytes.count) bytes")
        }
        return description.tensor(over: storage)
    }
}
