// SPDX-License-Identifier: Apache-2.0
/// Writes tensors as a safetensors file, with the bytes that the reference library would write.

import CairnTensor
import Foundation

/// Header padded with spaces to a multiple of 8, metadata first, then tensors by type from the
/// widest to the narrowest (the reverse of `DType.allCases`), and by name within a type.
public enum SafetensorsWriter {
    /// Streams the file into `sink`, tensor by tensor.
    ///
    /// Empty metadata is left out. Keys of metadata are sorted; the reference library keeps to no
    /// order where there are several, so that only one key gives equal bytes.
    public static func write(
        _ tensors: [String: Tensor], metadata: [String: String] = ["format": "pt"],
        to sink: inout some ByteSink
    ) throws(FormatError) {
        let layout = tensors.mapValues { TensorLayout(dtype: $0.dtype, shape: $0.shape) }
        let ordered = try begin(layout, metadata, &sink)
        for (name, _) in ordered {
            let result = tensors[name]!.withBytes { bytes in
                Result { () throws(FormatError) in try sink.write(bytes) }
            }
            try result.get()
        }
    }

    /// Streams a file of tensors that need never be in memory whole: `bytes` is asked for each in
    /// the order of the file, and hands them out in pieces.
    ///
    /// - Precondition: the pieces of a tensor have the size that its layout says.
    public static func write(
        _ layout: [String: TensorLayout], metadata: [String: String] = ["format": "pt"],
        to sink: inout some ByteSink,
        bytes: (_ name: String, _ emit: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        for (name, expected) in try begin(layout, metadata, &sink) {
            var written = 0
            try bytes(name) { piece in
                try sink.write(piece)
                written += piece.count
            }
            precondition(
                written == expected.byteCount,
                "'\(name)' has \(expected.byteCount) bytes, got \(written)")
        }
    }

    /// Writes what stands before the tensors; these in their order.
    private static func begin(
        _ layout: [String: TensorLayout], _ metadata: [String: String],
        _ sink: inout some ByteSink
    ) throws(FormatError) -> [(name: String, layout: TensorLayout)] {
        let ordered = order(layout)
        let header = try header(ordered, metadata: metadata)
        try sink.reserve(ordered.reduce(header.count) { $0 + $1.layout.byteCount })
        try sink.write(header)
        return ordered
    }

    /// The file in memory.
    public static func data(
        _ tensors: [String: Tensor], metadata: [String: String] = ["format": "pt"]
    ) throws(FormatError) -> Data {
        var sink = DataSink()
        try write(tensors, metadata: metadata, to: &sink)
        return sink.data
    }

    private static func order(
        _ tensors: [String: TensorLayout]
    ) -> [(name: String, layout: TensorLayout)] {
        let ranks = Dictionary(
            uniqueKeysWithValues: DType.allCases.enumerated().map { ($1, $0) })
        return tensors.map { (name: $0, layout: $1) }.sorted { a, b in
            a.layout.dtype == b.layout.dtype
                ? a.name.utf8Precedes(b.name) : ranks[a.layout.dtype]! > ranks[b.layout.dtype]!
        }
    }

    private static func header(
        _ tensors: [(name: String, layout: TensorLayout)], metadata: [String: String]
    ) throws(FormatError) -> Data {
        var members = JSONObject()
        if !metadata.isEmpty {
            let sorted = metadata.sorted { $0.key.utf8Precedes($1.key) }
            members[SafetensorsHeader.metadataKey] = .object(
                JSONObject(sorted.map { ($0, .string($1)) }))
        }
        var offset = 0
        for (name, layout) in tensors {
            guard name != SafetensorsHeader.metadataKey else {
                throw .fileName(name, expected: "a tensor's name, not the key of the metadata")
            }
            let end = offset + layout.byteCount
            members[name] = [
                "dtype": .string(layout.dtype.rawValue),
                "shape": .array(layout.shape.dimensions.map { JSONValue($0) }),
                "data_offsets": [JSONValue(offset), JSONValue(end)],
            ]
            offset = end
        }
        var text = try JSONValue.object(members).serialized(pretty: false)
        text.append(contentsOf: repeatElement(0x20, count: (8 - text.count % 8) % 8))
        return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text
    }
}

/// Type and shape of a tensor that a file is to hold.
public struct TensorLayout: Equatable, Sendable {
    /// How elements are stored.
    public let dtype: DType
    /// How they are arranged, row-major.
    public let shape: Shape

    /// - Precondition: the elements fill whole bytes, of a number that fits `Int`.
    public init(dtype: DType, shape: Shape) {
        precondition(
            dtype.byteCount(elements: shape.elementCount) != nil,
            "\(shape) \(dtype.rawValue) does not fill whole bytes")
        self.dtype = dtype
        self.shape = shape
    }

    /// Bytes of all elements.
    public var byteCount: Int { dtype.byteCount(elements: shape.elementCount)! }
}
