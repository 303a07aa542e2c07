// SPDX-License-Identifier: Apache-2.0
/// A safetensors file: names, metadata, and tensors that borrow the mapped bytes.

import CairnTensor
import Foundation

/// One safetensors file, mapped and checked.
///
/// Everything the header says is checked when the file is opened; data is read when used.
public struct SafetensorsFile: Sendable {
    /// The file.
    public let url: URL

    /// In byte order.
    public let names: [String]

    /// What `__metadata__` holds; empty when there is none.
    public let metadata: [String: String]

    private let header: SafetensorsHeader
    private let file: MappedFile

    /// Fails when the file cannot be mapped, and on whatever the format forbids: see
    /// `SafetensorsHeader` and `JSONValue.parse`.
    public init(contentsOf url: URL) throws(FormatError) {
        file = try MappedFile(contentsOf: url)
        header = try SafetensorsHeader(parsing: file.bytes, file: url.path)
        metadata = header.metadata
        names = header.entries.keys.sorted { $0.utf8Precedes($1) }
        self.url = url
    }

    /// What the header says of a tensor; nil when there is none of that name.
    public func layout(of name: String) -> (dtype: DType, shape: Shape)? {
        header.entries[name].map { ($0.dtype, $0.shape) }
    }

    /// The tensor of that name, over the file's own bytes; a copy where these lie unaligned for
    /// its type.
    public func tensor(named name: String) -> Tensor? {
        guard let entry = header.entries[name] else { return nil }
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[entry.range])
        let alignment = max(1, entry.dtype.bitWidth / 8)
        let storage: TensorStorage
        if Int(bitPattern: bytes.baseAddress) % alignment == 0 {
            storage = TensorStorage(borrowing: bytes, owner: file)
        } else {
            storage = TensorStorage(byteCount: bytes.count)
            storage.bytes.copyMemory(from: bytes)
        }
        return Tensor(dtype: entry.dtype, shape: entry.shape, storage: storage)
    }

    /// Says that a tensor will not be read for long: its bytes leave memory, and are read from the
    /// file again by whoever needs them.
    public func release(tensorNamed name: String) {
        if let entry = header.entries[name] { file.release(entry.range) }
    }

    /// Every tensor by its name, over the file's own bytes.
    public var tensors: [String: Tensor] {
        header.entries.keys.reduce(into: [:]) { $0[$1] = tensor(named: $1) }
    }
}
