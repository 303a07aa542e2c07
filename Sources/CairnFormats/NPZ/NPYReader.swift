// SPDX-License-Identifier: Apache-2.0
/// Reads arrays of npy files: row-major and little-endian, whatever the file's order is.

import CairnTensor
import Foundation

/// Reads single `.npy` files.
public enum NPYReader {
    /// The array of a `.npy` file: over the file's own bytes where they are in order, aligned and
    /// little-endian, else a copy.
    ///
    /// Fails on whatever `NPYHeader` refuses.
    public static func tensor(contentsOf url: URL) throws(FormatError) -> Tensor {
        let file = try MappedFile(contentsOf: url)
        let header = try header(of: file.bytes, file: url.path, entry: "array")
        let data = UnsafeRawBufferPointer(rebasing: file.bytes[header.byteCount...])
        return tensor(header, over: data, owner: file)
    }

    /// The header at the front of `bytes`, which are all of the array.
    package static func header(
        of bytes: UnsafeRawBufferPointer, file: String, entry: String
    ) throws(FormatError) -> NPYHeader {
        var position = 0
        return try NPYHeader(file: file, entry: entry, byteCount: bytes.count) {
            count throws(FormatError) in
            guard count <= bytes.count - position else {
                throw .entry(
                    file: file, entry: entry, expected: "\(position + count) bytes of header",
                    found: "\(bytes.count)")
            }
            defer { position += count }
            return Array(bytes[position..<(position + count)])
        }
    }

    /// The array whose data is `data`, borrowed if it can be used as it lies.
    static func tensor(
        _ header: NPYHeader, over data: UnsafeRawBufferPointer, owner: AnyObject
    ) -> Tensor {
        let width = header.type.dtype.bitWidth / 8
        let isAligned = Int(bitPattern: data.baseAddress) % width == 0
        if isAligned && !header.needsReordering {
            return Tensor(
                dtype: header.type.dtype, shape: header.shape,
                storage: TensorStorage(borrowing: data, owner: owner))
        }
        let copy = TensorStorage(byteCount: data.count)
        copy.bytes.copyMemory(from: data)
        withExtendedLifetime(owner) {}
        return tensor(header, taking: copy)
    }

    /// The array whose data is all of `storage`, which nobody else holds.
    static func tensor(_ header: NPYHeader, taking storage: TensorStorage) -> Tensor {
        let (dtype, shape) = (header.type.dtype, header.shape)
        if header.type.isBigEndian {
            swapBytes(of: storage.bytes, width: dtype == .c64 ? 4 : dtype.bitWidth / 8)
        }
        guard header.isTransposed else {
            return Tensor(dtype: dtype, shape: shape, storage: storage)
        }
        let ordered = TensorStorage(byteCount: storage.bytes.count)
        switch dtype.bitWidth {
        case 8: transpose(UInt8.self, storage, into: ordered, shape)
        case 16: transpose(UInt16.self, storage, into: ordered, shape)
        case 32: transpose(UInt32.self, storage, into: ordered, shape)
        default: transpose(UInt64.self, storage, into: ordered, shape)
        }
        return Tensor(dtype: dtype, shape: shape, storage: ordered)
    }

    private static func swapBytes(of bytes: UnsafeMutableRawBufferPointer, width: Int) {
        for start in stride(from: 0, to: bytes.count, by: width) {
            for place in 0..<(width / 2) {
                bytes.swapAt(start + place, start + width - 1 - place)
            }
        }
    }

    /// From first index fastest to last index fastest.
    private static func transpose<Element: FixedWidthInteger>(
        _: Element.Type, _ source: TensorStorage, into target: TensorStorage, _ shape: Shape
    ) {
        let from = source.bytes.bindMemory(to: Element.self)
        let to = target.bytes.bindMemory(to: Element.self)
        let dimensions = shape.dimensions
        var strides = [Int](repeating: 1, count: dimensions.count)
        for axis in dimensions.indices.dropFirst() {
            strides[axis] = strides[axis - 1] * dimensions[axis - 1]
        }
        var index = [Int](repeating: 0, count: dimensions.count)
        var place = 0
        for element in to.indices {
            to[element] = from[place]
            var axis = dimensions.count - 1
            while axis >= 0 {
                index[axis] += 1
                place += strides[axis]
                if index[axis] < dimensions[axis] { break }
                place -= dimensions[axis] * strides[axis]
                index[axis] = 0
                axis -= 1
            }
        }
    }
}

extension NPYHeader {
    /// Whether the order of the elements in the file differs from row-major.
    var isTransposed: Bool {
        isFortranOrder && shape.elementCount > 0 && shape.dimensions.count { $0 > 1 } > 1
    }

    var needsReordering: Bool { isTransposed || type.isBigEndian }
}
