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
        let ordered = order(tensors)
        let header = try header(ordered, metadata: metadata)
        try sink.reserve(ordered.reduce(header.count) { $0 + $1.tensor.byteCount })
        try sink.write(header)
        for (_, tensor) in ordered {
            let result = tensor.withBytes { bytes in
                Result { () throws(FormatError) in try sink.write(bytes) }
            }
            try result.get()
        }
    }

    /// The file in memory.
    public static func data(
        _ tensors: [String: Tensor], metadata: [String: String] = ["format": "pt"]
    ) throws(FormatError) -> Data {
        var sink = DataSink()
        try write(tensors, metadata: metadata, to: &sink)
        return sink.data
    }

    private static func order(_ tensors: [String: Tensor]) -> [(name: String, tensor: Tensor)] {
        let ranks = Dictionary(
            uniqueKeysWithValues: DType.allCases.enumerated().map { ($1, $0) })
        return tensors.map { (name: $0, tensor: $1) }.sorted { a, b in
            a.tensor.dtype == b.tensor.dtype
                ? a.name.utf8Precedes(b.name) : ranks[a.tensor.dtype]! > ranks[b.tensor.dtype]!
        }
    }

    private static func header(
        _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String]
    ) throws(FormatError) -> Data {
        var members = JSONObject()
        if !metadata.isEmpty {
            let sorted = metadata.sorted { $0.key.utf8Precedes($1.key) }
            members[SafetensorsHeader.metadataKey] = .object(
                JSONObject(sorted.map { ($0, .string($1)) }))
        }
        var offset = 0
        for (name, tensor) in tensors {
            guard name != SafetensorsHeader.metadataKey else {
                throw .fileName(name, expected: "a tensor's name, not the key of the metadata")
            }
            let end = offset + tensor.byteCount
            members[name] = [
                "dtype": .string(tensor.dtype.rawValue),
                "shape": .array(tensor.shape.dimensions.map { JSONValue($0) }),
                "data_offsets": [JSONValue(offset), JSONValue(end)],
            ]
            offset = end
        }
        var text = try JSONValue.object(members).serialized(pretty: false)
        text.append(contentsOf: repeatElement(0x20, count: (8 - text.count % 8) % 8))
        return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text
    }
}
