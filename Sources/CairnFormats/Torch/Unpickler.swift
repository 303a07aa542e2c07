// SPDX-License-Identifier: Apache-2.0
/// A reader of pickles that makes data and nothing else.

import CairnTensor

/// Follows the instructions of one pickle.
///
/// A pickle is a program for a stack machine; here it can build None, booleans, numbers, strings,
/// lists, tuples, dictionaries and tensors. Whatever else it names or asks for is refused by name
/// and place, and nothing is ever imported or called.
///
/// Bounds: 2^21 values, 64 levels, 2^20 values once shared ones are counted as often as they occur.
/// Containers lie in arrays and refer to one another by number, so that a chain of any length, or
/// a ring, is freed without recursion.
struct Unpickler {
    static let valueLimit = 1 << 21
    static let depthLimit = 64
    static let sizeLimit = 1 << 20

    /// What stands on the stack.
    enum Item {
        case none
        case bool(Bool)
        case integer(Int64)
        case number(Double)
        case string(String)
        case container(Int)
        case global(PickleGlobal)
        case storage(TorchStorageReference)
        case tensor(Int)
    }

    enum Kind {
        case list, tuple, dictionary
        /// A dictionary that can take attributes, which are dropped.
        case orderedDictionary
    }

    private let bytes: UnsafeRawBufferPointer
    private let file: String
    private let rebuild: (TensorDescription) throws(FormatError) -> Tensor
    /// The place of the instruction at work.
    private(set) var start = 0
    private var position = 0
    private var stack: [Item] = []
    private var marks: [Int] = []
    private var memo: [Int: Item] = [:]
    private var valueCount = 0
    private(set) var kinds: [Kind] = []
    /// Elements, or keys and values in turn.
    private(set) var contents: [[Item]] = []
    private(set) var tensors: [Tensor] = []

    /// - Parameter rebuild: makes a tensor over the storage of a file.
    init(
        _ bytes: UnsafeRawBufferPointer, file: String,
        rebuild: @escaping (TensorDescription) throws(FormatError) -> Tensor
    ) {
        self.bytes = bytes
        self.file = file
        self.rebuild = rebuild
    }

    /// The value that the pickle makes; bytes behind its end are refused.
    mutating func run() throws(FormatError) -> TorchValue {
        while true {
            start = position
            let byte = try take(1)[0]
            guard let opcode = PickleOpcode(rawValue: byte) else {
                throw failure("an instruction that makes data", PickleOpcode.name(refused: byte))
            }
            if start == 0 && opcode != .proto {
                throw failure("a pickle of protocol 2 to 5", "another beginning")
            }
            if opcode == .stop { break }
            try follow(opcode)
        }
        guard stack.count == 1, marks.isEmpty else {
            throw failure("one value at the end", "\(stack.count)")
        }
        guard position == bytes.count else {
            throw failure("the end of the file", "\(bytes.count - position) more bytes")
        }
        var resolver = PickleResolver(self)
        return try resolver.resolve(stack[0], depth: 0).value
    }

    private mutating func follow(_ opcode: PickleOpcode) throws(FormatError) {
        switch opcode {
        case .proto: try checkProtocol()
        case .frame: _ = try take(8)
        case .stop: break
        case .mark: marks.append(stack.count)
        case .pop: _ = try pop()
        case .none: try push(.none)
        case .newTrue: try push(.bool(true))
        case .newFalse: try push(.bool(false))
        case .binInt: try push(.integer(Int64(try number(Int32.self))))
        case .binInt1: try push(.integer(Int64(try number(UInt8.self))))
        case .binInt2: try push(.integer(Int64(try number(UInt16.self))))
        case .long1: try push(.integer(try long()))
        case .binFloat:
            let bits = UInt64(bigEndian: try take(8).loadUnaligned(as: UInt64.self))
            try push(.number(Double(bitPattern: bits)))
        case .binUnicode: try push(.string(try text(Int(try number(UInt32.self)))))
        case .shortBinUnicode: try push(.string(try text(Int(try number(UInt8.self)))))
        case .emptyList: try push(try new(.list, []))
        case .append: try extend(.list, with: [try pop()])
        case .appends: try extend(.list, with: try popToMark())
        case .emptyTuple: try push(try new(.tuple, []))
        case .tuple: try push(try new(.tuple, try popToMark()))
        case .tuple1: try push(try new(.tuple, try pop(1)))
        case .tuple2: try push(try new(.tuple, try pop(2)))
        case .tuple3: try push(try new(.tuple, try pop(3)))
        case .emptyDictionary: try push(try new(.dictionary, []))
        case .setItem: try extend(.dictionary, with: try pop(2))
        case .setItems: try extend(.dictionary, with: try popToMark())
        case .binPut: try remember(Int(try number(UInt8.self)))
        case .longBinPut: try remember(Int(try number(UInt32.self)))
        case .memoize: try remember(memo.count)
        case .binGet: try recall(Int(try number(UInt8.self)))
        case .longBinGet: try recall(Int(try number(UInt32.self)))
        case .global: try global(module: try line(), name: try line())
        case .stackGlobal: try stackGlobal()
        case .reduce: try reduce()
        case .build: try build()
        case .binPersistentID: try persistentID()
        }
    }

    // MARK: Instructions

    private mutating func checkProtocol() throws(FormatError) {
        let version = try number(UInt8.self)
        guard start == 0, (2...5).contains(version) else {
            throw failure("a pickle of protocol 2 to 5", "protocol \(version)")
        }
    }

    private mutating func global(module: String, name: String) throws(FormatError) {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw failure(
                "data, a tensor or collections.OrderedDict", "the name '\(module).\(name)'")
        }
        try push(.global(global))
    }

    private mutating func stackGlobal() throws(FormatError) {
        let names = try pop(2)
        guard case .string(let module) = names[0], case .string(let name) = names[1] else {
            throw failure("a module and a name", "other values")
        }
        try global(module: module, name: name)
    }

    private mutating func reduce() throws(FormatError) {
        let operands = try pop(2)
        guard case .global(let global) = operands[0], let arguments = elements(operands[1]) else {
            throw failure("one of the known names and a tuple", "other values")
        }
        switch global {
        case .dictionary:
            guard arguments.isEmpty else {
                throw failure("an OrderedDict that begins empty", "one with arguments")
            }
            try push(try new(.orderedDictionary, []))
        case .tensor:
            let description = try TensorDescription(
                arguments, in: self, place: "data.pkl, byte \(start)")
            tensors.append(try rebuild(description))
            try push(.tensor(tensors.count - 1))
        case .storage:
            throw failure("a storage by its persistent id", "a call")
        }
    }

    /// `state_dict()` of a module hangs versions on its dictionary, which say nothing of the data.
    private mutating func build() throws(FormatError) {
        let operands = try pop(2)
        guard case .container(let index) = operands[0], kinds[index] == .orderedDictionary,
            case .container(let state) = operands[1], kinds[state] == .dictionary
        else { throw failure("attributes of an OrderedDict", "those of something else") }
        stack.append(operands[0])
    }

    /// `("storage", type, key, location, element count)`; where it lay is of no account here.
    private mutating func persistentID() throws(FormatError) {
        guard let parts = elements(try pop()), parts.count == 5,
            case .string("storage") = parts[0], case .global(.storage(let dtype)) = parts[1],
            case .string(let key) = parts[2], case .string = parts[3],
            case .integer(let count) = parts[4], count >= 0
        else {
            throw failure("('storage', type, key, location, count)", "another persistent id")
        }
        try push(.storage(TorchStorageReference(dtype: dtype, key: key, elementCount: Int(count))))
    }

    private mutating func remember(_ key: Int) throws(FormatError) {
        guard let item = stack.last else { throw failure("a value to remember", "none") }
        memo[key] = item
    }

    private mutating func recall(_ key: Int) throws(FormatError) {
        guard let item = memo[key] else { throw failure("a value remembered as \(key)", "none") }
        try push(item)
    }

    // MARK: Stack and containers

    private mutating func push(_ item: Item) throws(FormatError) {
        valueCount += 1
        guard valueCount <= Self.valueLimit else {
            throw failure("at most \(Self.valueLimit) values", "one more")
        }
        stack.append(item)
    }

    private mutating func pop() throws(FormatError) -> Item { try pop(1)[0] }

    private mutating func pop(_ count: Int) throws(FormatError) -> [Item] {
        guard stack.count - (marks.last ?? 0) >= count else {
            throw failure("\(count) values on the stack", "\(stack.count - (marks.last ?? 0))")
        }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popToMark() throws(FormatError) -> [Item] {
        guard let mark = marks.popLast() else { throw failure("a mark on the stack", "none") }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[mark...])
    }

    private mutating func new(_ kind: Kind, _ items: [Item]) throws(FormatError) -> Item {
        kinds.append(kind)
        contents.append(items)
        return .container(kinds.count - 1)
    }

    private mutating func extend(_ kind: Kind, with items: [Item]) throws(FormatError) {
        guard case .container(let index)? = stack.last, stack.count > marks.last ?? 0,
            kinds[index] == kind || kind == .dictionary && kinds[index] == .orderedDictionary
        else { throw failure("a \(kind) to put values into", "something else") }
        guard kind == .list || items.count % 2 == 0 else {
            throw failure("keys with values", "\(items.count) values")
        }
        contents[index] += items
    }

    /// The elements of a tuple.
    func elements(_ item: Item) -> [Item]? {
        guard case .container(let index) = item, kinds[index] == .tuple else { return nil }
        return contents[index]
    }

    // MARK: Bytes

    private mutating func take(_ count: Int) throws(FormatError) -> UnsafeRawBufferPointer {
        guard count <= bytes.count - position else {
            throw failure("\(count) more bytes", "\(bytes.count - position)")
        }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    }

    private mutating func number<Number: FixedWidthInteger>(
        _ type: Number.Type
    ) throws(FormatError) -> Number {
        try take(MemoryLayout<Number>.size).littleEndian(at: 0, as: type)
    }

    /// Two's complement in as few bytes as it takes.
    private mutating func long() throws(FormatError) -> Int64 {
        let digits = try take(Int(try number(UInt8.self)))
        guard digits.count <= 8 else {
            throw failure("an integer of 64 bits", "one of \(digits.count) bytes")
        }
        let bits = digits.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let unused = 64 - 8 * digits.count
        return Int64(bitPattern: bits << UInt64(unused)) >> Int64(unused)
    }

    private mutating func text(_ count: Int) throws(FormatError) -> String {
        let bytes = try take(count)
        if let place = UTF8Check.firstInvalidByte(bytes) {
            throw failure("UTF-8", "a string that is not, from its byte \(place) on")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private mutating func line() throws(FormatError) -> String {
        let rest = bytes[position...].prefix(256)
        guard let end = rest.firstIndex(of: 0x0A) else {
            throw failure("a name that ends within 256 bytes", "none")
        }
        let text = try text(end - position)
        position += 1
        return text
    }

    func failure(_ expected: String, _ found: String) -> FormatError {
        .entry(
            file: file, entry: "data.pkl, byte \(start)", expected: expected, found: found)
    }
}
