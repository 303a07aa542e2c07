// SPDX-License-Identifier: Apache-2.0
/// Writes tensors and plain data as a file that `torch.load(weights_only=True)` reads.

import CairnTensor
import Foundation

/// The container of `TorchFile`, with one storage per tensor; the same value gives the same bytes.
public enum TorchWriter {
    /// Writes `value` as the archive `name`, which torch calls after the file.
    ///
    /// Fails on a tensor of a type that torch has no storage class for.
    public static func write(
        _ value: TorchValue, name: String, to sink: inout some ByteSink
    ) throws(FormatError) {
        var pickler = Pickler(file: name)
        try pickler.write(value)
        let pickle = pickler.finished
        var zip = ZipWriter()
        try add("\(name)/data.pkl", pickle, &zip, &sink)
        try add("\(name)/byteorder", Data("little".utf8), &zip, &sink)
        for (key, tensor) in pickler.tensors.enumerated() {
            let result = tensor.withBytes { bytes in
                Result { () throws(FormatError) in
                    try zip.add("\(name)/data/\(key)", [bytes], to: &sink)
                }
            }
            try result.get()
        }
        try add("\(name)/version", Data("3\n".utf8), &zip, &sink)
        try zip.finish(to: &sink)
    }

    /// The file in memory.
    public static func data(_ value: TorchValue, name: String) throws(FormatError) -> Data {
        var sink = DataSink()
        try write(value, name: name, to: &sink)
        return sink.data
    }

    private static func add(
        _ name: String, _ data: Data, _ zip: inout ZipWriter, _ sink: inout some ByteSink
    ) throws(FormatError) {
        let result = data.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try zip.add(name, [bytes], to: &sink) }
        }
        try result.get()
    }
}

/// Appends values to a pickle of protocol 2, without a memo: nothing is shared.
private struct Pickler {
    let file: String
    private(set) var tensors: [Tensor] = []
    private var output = Data([PickleOpcode.proto.rawValue, 2])

    init(file: String) { self.file = file }

    var finished: Data { output + [PickleOpcode.stop.rawValue] }

    mutating func write(_ value: TorchValue) throws(FormatError) {
        switch value {
        case .none: append(.none)
        case .bool(let value): append(value ? .newTrue : .newFalse)
        case .integer(let value): writeInteger(value)
        case .number(let value):
            append(.binFloat)
            append(value.bitPattern.byteSwapped)
        case .string(let value): writeString(value)
        case .list(let values):
            append(.emptyList)
            try writeSequence(values, .appends)
        case .tuple(let values):
            if values.isEmpty { append(.emptyTuple) } else { try writeSequence(values, .tuple) }
        case .dictionary(let members):
            append(.emptyDictionary)
            try writeSequence(members.flatMap { [$0.key, $0.value] }, .setItems)
        case .tensor(let tensor): try writeTensor(tensor)
        }
    }

    private mutating func writeSequence(
        _ values: [TorchValue], _ end: PickleOpcode
    ) throws(FormatError) {
        if values.isEmpty { return }
        append(.mark)
        for value in values { try write(value) }
        append(end)
    }

    private mutating func writeInteger(_ value: Int64) {
        if let small = UInt8(exactly: value) {
            append(.binInt1)
            append(small)
        } else if let medium = Int32(exactly: value) {
            append(.binInt)
            append(medium)
        } else {
            append(.long1)
            append(UInt8(8))
            append(value)
        }
    }

    private mutating func writeString(_ text: String) {
        append(.binUnicode)
        append(UInt32(text.utf8.count))
        output.append(contentsOf: text.utf8)
    }

    private mutating func writeGlobal(_ module: String, _ name: String) {
        append(.global)
        output.append(contentsOf: "\(module)\n\(name)\n".utf8)
    }

    /// `_rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict())`
    private mutating func writeTensor(_ tensor: Tensor) throws(FormatError) {
        guard let type = PickleGlobal.storages.first(where: { $0.dtype == tensor.dtype })?.name
        else {
            throw .entry(
                file: file, entry: "tensor \(tensors.count)",
                expected: "a type with a storage class in torch", found: tensor.dtype.rawValue)
        }
        writeGlobal("torch._utils", "_rebuild_tensor_v2")
        append(.mark)
        append(.mark)
        writeString("storage")
        writeGlobal("torch", type)
        writeString("\(tensors.count)")
        writeString("cpu")
        writeInteger(Int64(tensor.elementCount))
        append(.tuple)
        append(.binPersistentID)
        writeInteger(0)
        let sizes = tensor.shape.dimensions
        try write(.tuple(sizes.map { .integer(Int64($0)) }))
        try write(.tuple(Self.strides(of: sizes).map { .integer(Int64($0)) }))
        append(.newFalse)
        writeGlobal("collections", "OrderedDict")
        append(.emptyTuple)
        append(.reduce)
        append(.tuple)
        append(.reduce)
        tensors.append(tensor)
    }

    /// Of a row-major tensor; a size of 0 counts as 1, as in torch.
    private static func strides(of sizes: [Int]) -> [Int] {
        var strides: [Int] = []
        var stride = 1
        for size in sizes.reversed() {
            strides.append(stride)
            stride *= max(size, 1)
        }
        return strides.reversed()
    }

    private mutating func append(_ opcode: PickleOpcode) { output.append(opcode.rawValue) }

    private mutating func append(_ number: some FixedWidthInteger) {
        output.append(littleEndian: number)
    }
}
