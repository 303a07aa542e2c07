// SPDX-License-Identifier: Apache-2.0
/// Tensors as nested lists of numbers: mlx-ruby's array record.

import CairnTensor

/// `{"__mlx_array__": {"values": nested lists, "dtype": name}}`.
///
/// Values are exact both ways. A float is written as the double that equals it, an integer as an
/// integer, a boolean as true or false; a number that the dtype does not hold exactly is refused,
/// since it would become another one. Where lists cannot tell the shape, as for [0, 3], a member
/// `shape` is added, which mlx-ruby does not look at; without it `[]` has the shape [0].
enum ArrayRecord {
    static let key = "__mlx_array__"

    static let names: [(name: String, dtype: DType)] = [
        ("float32", .f32), ("float16", .f16), ("bfloat16", .bf16), ("float64", .f64),
        ("int8", .i8), ("int16", .i16), ("int32", .i32), ("int64", .i64), ("uint8", .u8),
        ("uint16", .u16), ("uint32", .u32), ("uint64", .u64), ("bool_", .bool),
    ]
}

// MARK: Reading

extension PayloadCodec {
    /// What an array record holds; nil when the value is none.
    func record(_ value: Value, at place: String) throws(FormatError) -> Tensor? {
        guard case .members(let members) = value.view,
            let content = members.first(where: { $0.key == ArrayRecord.key })?.value
        else { return nil }
        guard members.count == 1 else {
            throw failure(place, "\(ArrayRecord.key) alone", "\(members.count) keys")
        }
        let parts = try self.members(content, at: place)
        if let key = parts.keys.first(where: { !["values", "dtype", "shape"].contains($0) }) {
            throw failure(place, "the keys values and dtype", "'\(key)'")
        }
        guard let values = parts["values"], case .text(let name)? = parts["dtype"]?.view else {
            throw failure(place, "values, and a dtype by name", "fewer")
        }
        guard let dtype = ArrayRecord.names.first(where: { $0.name == name })?.dtype else {
            let known = ArrayRecord.names.map(\.name).joined(separator: " ")
            throw failure(place, "one of \(known)", "'\(name)'")
        }
        let shape = try shape(of: values, stated: parts["shape"], at: place)
        var tensor = Tensor(zeros: shape, dtype: dtype)
        let result = tensor.withMutableBytes { bytes in
            Result { () throws(FormatError) in
                var index = 0
                try store(values, dtype, into: bytes, &index, at: place)
            }
        }
        try result.get()
        return tensor
    }

    /// The shape that nested lists have, which the record may state where they cannot show it.
    private func shape(
        of values: Value, stated: Value?, at place: String
    ) throws(FormatError) -> Shape {
        var dimensions: [Int] = []
        var value = values
        while case .list(let elements) = value.view {
            dimensions.append(elements.count)
            guard let first = elements.first else { break }
            value = first
        }
        try checkCounts(values, dimensions[...], at: place)
        guard let stated else { return Shape(dimensions) }
        guard case .list(let elements) = stated.view else {
            throw failure(path(place, "shape"), "a list", stated.view.kind)
        }
        var full: [Int] = []
        for element in elements {
            guard case .integer(let size) = element.view, size >= 0 else {
                throw failure(path(place, "shape"), "sizes", element.view.kind)
            }
            full.append(Int(size))
        }
        let fits =
            full == dimensions || (dimensions.last == 0 && full.starts(with: dimensions))
        guard fits, Shape.checkedElementCount(full) != nil else {
            throw failure(path(place, "shape"), "that of the values, \(dimensions)", "\(full)")
        }
        return Shape(full)
    }

    /// Every list of a level has as many elements; so the elements are as many as the shape says.
    private func checkCounts(
        _ value: Value, _ dimensions: ArraySlice<Int>, at place: String
    ) throws(FormatError) {
        switch (value.view, dimensions.first) {
        case (.list(let elements), let count?):
            guard elements.count == count else {
                throw failure(place, "lists of \(count) elements", "one of \(elements.count)")
            }
            for element in elements {
                try checkCounts(element, dimensions.dropFirst(), at: place)
            }
        case (.list, nil): throw failure(place, "a number", "a list")
        case (_, nil): break
        case (let view, _?): throw failure(place, "a list", view.kind)
        }
    }

    private func store(
        _ value: Value, _ dtype: DType, into bytes: UnsafeMutableRawBufferPointer,
        _ index: inout Int, at place: String
    ) throws(FormatError) {
        if case .list(let elements) = value.view {
            for element in elements { try store(element, dtype, into: bytes, &index, at: place) }
            return
        }
        guard let bits = ElementBits.bits(of: value.view, as: dtype) else {
            throw failure(
                place, "numbers that \(dtype.rawValue) holds exactly",
                ElementBits.text(of: value.view))
        }
        let width = dtype.bitWidth / 8
        withUnsafeBytes(of: bits.littleEndian) { source in
            for byte in 0..<width { bytes[index * width + byte] = source[byte] }
        }
        index += 1
    }
}

// MARK: Writing

extension PayloadCodec {
    /// The name of the tensor's type.
    @discardableResult
    func checkType(of tensor: Tensor, at place: String) throws(FormatError) -> String {
        guard let name = ArrayRecord.names.first(where: { $0.dtype == tensor.dtype })?.name else {
            throw failure(place, "a type that mlx-ruby's records have", tensor.dtype.rawValue)
        }
        return name
    }

    func record(of tensor: Tensor, at place: String) throws(FormatError) -> Value {
        let name = try checkType(of: tensor, at: place)
        let dimensions = tensor.shape.dimensions
        var index = 0
        let values = try lists(of: tensor, dimensions[...], &index, at: place)
        var content = [("values", values), ("dtype", try make(.text(name), at: place))]
        if let zero = dimensions.firstIndex(of: 0), zero < dimensions.count - 1 {
            var sizes: [Value] = []
            for dimension in dimensions {
                sizes.append(try make(.integer(Int64(dimension)), at: place))
            }
            content.append(("shape", try make(.list(sizes), at: place)))
        }
        let inner = try make(.members(content.map { (key: $0.0, value: $0.1) }), at: place)
        return try make(.members([(ArrayRecord.key, inner)]), at: place)
    }

    private func lists(
        of tensor: Tensor, _ dimensions: ArraySlice<Int>, _ index: inout Int, at place: String
    ) throws(FormatError) -> Value {
        guard let count = dimensions.first else {
            let view: PayloadView<Value> = tensor.withBytes {
                ElementBits.view(of: $0, at: index, as: tensor.dtype)
            }
            index += 1
            return try make(view, at: place)
        }
        var elements: [Value] = []
        elements.reserveCapacity(count)
        for _ in 0..<count {
            elements.append(try lists(of: tensor, dimensions.dropFirst(), &index, at: place))
        }
        return try make(.list(elements), at: place)
    }
}

/// Numbers and the bits of tensor elements, exactly.
private enum ElementBits {
    /// Doubles up to here hold every integer, so that one of them was not rounded.
    private static let exactLimit = 0x1p53

    /// The element's bits in the low end; nil when the type does not hold the value exactly.
    static func bits<Value>(of view: PayloadView<Value>, as dtype: DType) -> UInt64? {
        switch dtype {
        case .f64: double(view)?.bitPattern
        case .f32: float(view).map { UInt64($0.bitPattern) }
        case .f16:
            float(view).flatMap { value in
                let half = Half(value)
                return half.float == value || value.isNaN ? UInt64(half.bitPattern) : nil
            }
        case .bf16:
            float(view).flatMap { value in
                let brain = BFloat16(value)
                return brain.float == value || value.isNaN ? UInt64(brain.bitPattern) : nil
            }
        case .bool:
            if case .bool(let value) = view {
                value ? 1 : 0
            } else {
                integer(view, UInt8.self).flatMap { $0 < 2 ? $0 : nil }
            }
        case .i8: integer(view, Int8.self)
        case .i16: integer(view, Int16.self)
        case .i32: integer(view, Int32.self)
        case .i64: integer(view, Int64.self)
        case .u8: integer(view, UInt8.self)
        case .u16: integer(view, UInt16.self)
        case .u32: integer(view, UInt32.self)
        case .u64: integer(view, UInt64.self)
        default: nil
        }
    }

    private static func double<Value>(_ view: PayloadView<Value>) -> Double? {
        switch view {
        case .number(let value): value
        case .integer(let value): Double(exactly: value)
        case .unsigned(let value): Double(exactly: value)
        default: nil
        }
    }

    private static func float<Value>(_ view: PayloadView<Value>) -> Float? {
        guard let value = double(view) else { return nil }
        let float = Float(value)
        return Double(float) == value || value.isNaN ? float : nil
    }

    private static func integer<Value, Element: FixedWidthInteger>(
        _ view: PayloadView<Value>, _: Element.Type
    ) -> UInt64? {
        let element: Element?
        switch view {
        case .integer(let value): element = Element(exactly: value)
        case .unsigned(let value): element = Element(exactly: value)
        case .number(let value) where value.magnitude <= exactLimit:
            element = Element(exactly: value)
        default: element = nil
        }
        return element.map { UInt64(truncatingIfNeeded: $0) }
    }

    /// The element at `index`, as the payload says it.
    static func view<Value>(
        of bytes: UnsafeRawBufferPointer, at index: Int, as dtype: DType
    ) -> PayloadView<Value> {
        func load<Element: FixedWidthInteger>(_ type: Element.Type) -> Element {
            bytes.littleEndian(at: index * MemoryLayout<Element>.size, as: type)
        }
        switch dtype {
        case .f64: return .number(Double(bitPattern: load(UInt64.self)))
        case .f32: return .number(Double(Float(bitPattern: load(UInt32.self))))
        case .f16: return .number(Double(Half(bitPattern: load(UInt16.self)).float))
        case .bf16: return .number(Double(BFloat16(bitPattern: load(UInt16.self)).float))
        case .bool: return .bool(load(UInt8.self) != 0)
        case .i8: return .integer(Int64(load(Int8.self)))
        case .i16: return .integer(Int64(load(Int16.self)))
        case .i32: return .integer(Int64(load(Int32.self)))
        case .i64: return .integer(load(Int64.self))
        case .u8: return .integer(Int64(load(UInt8.self)))
        case .u16: return .integer(Int64(load(UInt16.self)))
        case .u32: return .integer(Int64(load(UInt32.self)))
        case .u64:
            let value = load(UInt64.self)
            return Int64(exactly: value).map { .integer($0) } ?? .unsigned(value)
        default: return .other(dtype.rawValue)
        }
    }

    static func text<Value>(of view: PayloadView<Value>) -> String {
        switch view {
        case .integer(let value): "\(value)"
        case .unsigned(let value): "\(value)"
        case .number(let value): "\(value)"
        default: view.kind
        }
    }
}
