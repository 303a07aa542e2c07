// SPDX-License-Identifier: Apache-2.0
/// The bytes of a Marshal stream, counts and lengths checked, and what is wrong with them.

extension MarshalParser {
    mutating func takeByte() throws(FormatError) -> UInt8 { try take(1)[0] }

    mutating func take(
        _ count: Int
    ) throws(FormatError) -> UnsafeRawBufferPointer {
        guard count <= bytes.count - position else {
            throw .truncated(file: file, needs: position + count, has: bytes.count)
        }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    }

    mutating func takeCounted() throws(FormatError) -> [UInt8] {
        let bytes = Array(try take(try count(of: 1)))
        size += bytes.count / 16
        return bytes
    }

    /// A count of parts that take `width` bytes at least, which the stream must still have.
    mutating func count(of width: Int) throws(FormatError) -> Int {
        let place = position
        let count = try long()
        guard count >= 0 else { throw failure(at: place, "a count", "\(count)") }
        guard count * width <= bytes.count - position else {
            throw .truncated(file: file, needs: position + count * width, has: bytes.count)
        }
        return count
    }

    mutating func long() throws(FormatError) -> Int {
        let first = Int(Int8(bitPattern: try takeByte()))
        switch first {
        case 0: return 0
        case 5...: return first - 5
        case ...(-5): return first + 5
        default:
            let rest = try take(abs(first)).reversed()
            // A negative number is written without its bytes of ones.
            return rest.reduce(first < 0 ? -1 : 0) { $0 << 8 | Int($1) }
        }
    }

    mutating func refusal(of kind: UInt8, at place: Int) -> FormatError {
        let data = "data (nil, booleans, numbers, strings, symbols, arrays, hashes)"
        let kinds: [Unicode.Scalar: String] = [
            "o": "an object of class", "c": "the class", "m": "the module",
            "M": "the class or module", "S": "a struct of class", "u": "a dump of class",
            "U": "a dump of class", "e": "an object extended by", "C": "a subclass",
            "d": "C data of class", "/": "the regular expression",
        ]
        guard let what = kinds[Unicode.Scalar(kind)] else {
            return failure(at: place, data, "type \(Self.name(of: kind))")
        }
        let name =
            "cmM/".utf8.contains(kind) ? try? takeCounted() : (try? parseSymbol())?.bytes
        let found = what + (name.map { " '\(Self.printable($0))'" } ?? "")
        return failure(at: place, data, found + ", type \(Self.name(of: kind))")
    }

    func failure(at place: Int, _ expected: String, _ found: String) -> FormatError {
        .entry(file: file, entry: "byte \(place)", expected: expected, found: found)
    }

    static func name(of byte: UInt8) -> String {
        byte > 0x20 && byte < 0x7F
            ? "'\(Character(Unicode.Scalar(byte)))'" : "0x" + String(byte, radix: 16)
    }

    /// A name out of a file, short and without what would bend a message.
    static func printable(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes.prefix(80), as: UTF8.self)
        let scalars = text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : $0 }
        return String(String.UnicodeScalarView(scalars)) + (bytes.count > 80 ? "..." : "")
    }
}
