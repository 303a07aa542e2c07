// SPDX-License-Identifier: Apache-2.0
/// Writes tensors as an APR v2 file; equal content gives equal bytes.

import CairnTensor
import Foundation

/// Lays a file out as `APRLayout` says, with the data in the order of the index.
public enum APRWriter {
    /// Streams the file into `sink`, tensor by tensor.
    ///
    /// - Throws: before the first byte, on a type that the format lacks, a name of more than 256
    ///   bytes, more than 8 dimensions, and metadata that `APRMetadata` forbids, that is not
    ///   finite, or that exceeds 16 MiB.
    public static func write(
        _ tensors: [String: Tensor], metadata: JSONObject = [:], to sink: inout some ByteSink
    ) throws(FormatError) {
        let ordered = tensors.map { (name: $0, tensor: $1) }
            .sorted { $0.name.utf8Precedes($1.name) }
        let text = try metadataText(metadata, ordered.map(\.tensor))
        let index = try index(ordered)
        try sink.reserve(ordered.reduce(text.count + index.count) { $0 + $1.tensor.byteCount })
        var crc = CRC32()
        let sections = [
            header(ordered.count, metadata: text.count, index: index.count), text, index,
        ]
        for section in sections {
            try section.withSections { bytes throws(FormatError) in
                crc.update(bytes)
                try sink.write(bytes)
            }
        }
        for (_, tensor) in ordered {
            try tensor.withSections { bytes throws(FormatError) in
                crc.update(bytes)
                try sink.write(bytes)
            }
        }
        try sink.write(withUnsafeBytes(of: crc.value.littleEndian) { Data($0) })
    }

    /// The file in memory.
    public static func data(
        _ tensors: [String: Tensor], metadata: JSONObject = [:]
    ) throws(FormatError) -> Data {
        var sink = DataSink()
        try write(tensors, metadata: metadata, to: &sink)
        return sink.data
    }

    // MARK: Sections, without their padding

    private static func header(_ tensorCount: Int, metadata: Int, index: Int) -> Data {
        let indexStart = APRLayout.aligned(APRLayout.headerSize + metadata)
        var header = Data(APRLayout.magic)
        header += [APRLayout.version.major, APRLayout.version.minor]
        header.append(littleEndian: APRFlags.rowMajor.rawValue)
        header.append(littleEndian: UInt32(tensorCount))
        header.append(littleEndian: UInt64(APRLayout.headerSize))
        header.append(littleEndian: UInt32(metadata))
        header.append(littleEndian: UInt64(indexStart))
        header.append(littleEndian: UInt64(APRLayout.aligned(indexStart + index)))
        header += Data(count: APRLayout.headerSize - header.count)
        let checksum = header.withUnsafeBytes { APRLayout.headerChecksum($0) }
        header.replaceSubrange(
            APRLayout.checksumRange, with: withUnsafeBytes(of: checksum.littleEndian) { Data($0) })
        return header
    }

    private static func metadataText(
        _ metadata: JSONObject, _ tensors: [Tensor]
    ) throws(FormatError) -> Data {
        let object = APRMetadata.emitted(
            try APRMetadata.canonical(metadata, file: name),
            totalSize: tensors.reduce(0) { $0 + $1.byteCount },
            parameterCount: tensors.reduce(0) { $0 + $1.elementCount })
        let text = try JSONValue.object(object).serialized(pretty: false)
        guard text.count <= APRLayout.metadataLimit else {
            throw .entry(
                file: name, entry: "metadata",
                expected: "at most \(APRLayout.metadataLimit) bytes", found: "\(text.count)")
        }
        return text
    }

    private static func index(
        _ tensors: [(name: String, tensor: Tensor)]
    ) throws(FormatError) -> Data {
        var index = Data()
        var offset = 0
        for (name, tensor) in tensors {
            let type = try elementType(of: tensor, name)
            index.append(littleEndian: UInt16(name.utf8.count))
            index += name.utf8
            index += [type.rawValue, UInt8(tensor.shape.rank)]
            for dimension in tensor.shape.dimensions {
                index.append(littleEndian: UInt64(dimension))
            }
            index.append(littleEndian: UInt64(offset))
            index.append(littleEndian: UInt64(tensor.byteCount))
            offset += APRLayout.aligned(tensor.byteCount)
        }
        return index
    }

    /// The type that the index names, once the tensor's name and shape are found to fit too.
    private static func elementType(
        of tensor: Tensor, _ name: String
    ) throws(FormatError) -> APRElementType {
        let entry = "tensor '\(name)'"
        guard name.utf8.count <= APRLayout.nameLimit else {
            throw .entry(
                file: Self.name, entry: entry,
                expected: "a name of at most \(APRLayout.nameLimit) bytes",
                found: "\(name.utf8.count)")
        }
        guard tensor.shape.rank <= APRLayout.rankLimit else {
            throw .entry(
                file: Self.name, entry: entry,
                expected: "at most \(APRLayout.rankLimit) dimensions",
                found: "\(tensor.shape.rank)")
        }
        guard let type = APRElementType(tensor.dtype) else {
            let known = APRElementType.allCases.compactMap { $0.dtype?.rawValue }
            throw .entry(
                file: Self.name, entry: entry,
                expected: "a type that APR has: \(known.joined(separator: ", "))",
                found: tensor.dtype.rawValue)
        }
        return type
    }

    /// What errors call the file that is being made.
    private static let name = "APR file"
}

/// The bytes of a section, then its padding.
private func sections(
    _ bytes: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer) throws(FormatError) -> Void
) throws(FormatError) {
    try body(bytes)
    let padding = [UInt8](repeating: 0, count: APRLayout.aligned(bytes.count) - bytes.count)
    let result = padding.withUnsafeBytes { padding in
        Result { () throws(FormatError) in try body(padding) }
    }
    try result.get()
}

extension Tensor {
    fileprivate func withSections(
        _ body: (UnsafeRawBufferPointer) throws(FormatError) -> Void
    ) throws(FormatError) {
        let result = withBytes { bytes in
            Result { () throws(FormatError) in try sections(bytes, body) }
        }
        try result.get()
    }
}

extension Data {
    fileprivate func withSections(
        _ body: (UnsafeRawBufferPointer) throws(FormatError) -> Void
    ) throws(FormatError) {
        let result = withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try sections(bytes, body) }
        }
        try result.get()
    }
}
