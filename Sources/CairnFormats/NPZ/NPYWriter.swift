// SPDX-License-Identifier: Apache-2.0
/// Writes arrays as npy files, with the bytes that numpy 2 would write.

import CairnTensor
import Foundation

/// See `NPYHeader` for the format: version 1.0, row-major, little-endian, the data at a multiple
/// of 64 bytes.
public enum NPYWriter {
    /// Digits that numpy leaves room for, so that a first dimension can grow in place.
    private static let growthDigits = 21

    /// Fails on a type that numpy lacks.
    public static func write(
        _ tensor: Tensor, to sink: inout some ByteSink
    ) throws(FormatError) {
        try sink.write(try header(of: tensor, entry: "array"))
        let result = tensor.withBytes { bytes in
            Result { () throws(FormatError) in try sink.write(bytes) }
        }
        try result.get()
    }

    /// All bytes in front of the data.
    static func header(of tensor: Tensor, entry: String) throws(FormatError) -> Data {
        guard let type = NPYType.spelling(of: tensor.dtype) else {
            throw .entry(
                file: "npy", entry: entry,
                expected: "a type that numpy has (safetensors holds the others)",
                found: tensor.dtype.rawValue)
        }
        let dimensions = tensor.shape.dimensions.map(String.init)
        let tuple =
            dimensions.count == 1
            ? "(\(dimensions[0]),)" : "(\(dimensions.joined(separator: ", ")))"
        var text = "{'descr': '\(type)', 'fortran_order': False, 'shape': \(tuple), }"
        if let first = dimensions.first {
            text += String(repeating: " ", count: max(0, growthDigits - first.utf8.count))
        }
        let padding = 64 - (11 + text.utf8.count) % 64
        text += String(repeating: " ", count: padding) + "\n"
        guard text.utf8.count <= 0xFFFF else {
            throw .entry(
                file: "npy", entry: entry, expected: "a shape that fits 65535 characters",
                found: "\(tensor.shape.rank) dimensions")
        }
        var header = Data(NPYHeader.magic + [1, 0])
        header.append(littleEndian: UInt16(text.utf8.count))
        header.append(contentsOf: text.utf8)
        return header
    }
}
