// SPDX-License-Identifier: Apache-2.0
/// `cairn formats-probe`: array files and Marshal streams through our readers and writers, for
/// comparison with numpy's and Ruby's own.

import Cairn
import Foundation

struct FormatsProbe: Command {
    static let name = "formats-probe"
    static let summary = "Reads a file of arrays or of Ruby data, and writes what was read."
    static let positionals = ["WORK", "IN", "OUT"]
    static let example = "cairn formats-probe marshal-text in.bin out.json"
    static let isHidden = true
    static let flags = [Flag(switch: "--deflate", "deflate the arrays of a npz file")]

    private static let works: [String: @Sendable (URL, URL, ZipEntry.Method) throws -> Void] = [
        "marshal-text": { source, target, _ in
            try each(source, target) { url in
                try MarshalText.json(of: MarshalReader.value(contentsOf: url)).serialized(
                    pretty: false)
            }
        },
        "text-marshal": { source, target, _ in
            try each(source, target) { url in
                try MarshalWriter.data(MarshalText.value(of: JSONValue.parse(contentsOf: url)))
            }
        },
        "marshal": { source, target, _ in
            try each(source, target) { url in
                try MarshalWriter.data(MarshalReader.value(contentsOf: url))
            }
        },
        "mlx-ruby": { source, target, _ in try convertCheckpoint(source, to: target) },
        "npz": { source, target, method in
            try writeArchive(try arrays(in: source), method, to: target)
        },
        "npy": { source, target, _ in
            var sink = DataSink()
            try NPYWriter.write(try NPYReader.tensor(contentsOf: source), to: &sink)
            try sink.data.write(to: target)
        },
        "raw-npz": { source, target, method in
            let tail = Tensor([1, 2, 3] as [Float], shape: [3])
            try writeArchive(
                ["raw": try rawBytes(of: source), "tail": tail], method, to: target)
        },
        "npz-digests": { source, target, _ in
            let lines = try arrays(in: source).sorted { $0.key < $1.key }.map { name, tensor in
                let digest = tensor.withBytes { bytes in
                    var hash = SHA256()
                    hash.update(bytes)
                    return hash.hex
                }
                return "\(name) \(tensor.dtype.rawValue) \(tensor.shape) \(digest)\n"
            }
            try Data(lines.joined().utf8).write(to: target)
        },
    ]

    private let work: @Sendable (URL, URL, ZipEntry.Method) throws -> Void
    private let source: URL
    private let target: URL
    private let method: ZipEntry.Method

    init(_ arguments: Arguments) throws {
        guard let work = Self.works[arguments.positionals[0]] else {
            throw UsageError(
                "WORK is one of \(Self.works.keys.sorted().joined(separator: ", "))",
                command: Self.name)
        }
        self.work = work
        source = URL(fileURLWithPath: arguments.positionals[1])
        target = URL(fileURLWithPath: arguments.positionals[2])
        method = arguments.has("--deflate") ? .deflated : .stored
    }

    func run() throws { try work(source, target, method) }

    /// A file to a file, or every file of a directory to one of its name in another.
    private static func each(
        _ source: URL, _ target: URL, _ convert: (URL) throws -> Data
    ) throws {
        var isDirectory: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: source.path, isDirectory: &isDirectory)
        guard isDirectory.boolValue else { return try convert(source).write(to: target) }
        for name in try FileManager.default.contentsOfDirectory(atPath: source.path).sorted() {
            try convert(source.appendingPathComponent(name)).write(
                to: target.appendingPathComponent(name))
        }
    }

    // MARK: Arrays

    private static func arrays(in url: URL) throws -> [String: Tensor] {
        if url.pathExtension == "npy" { return ["array": try NPYReader.tensor(contentsOf: url)] }
        return try NPZFile(contentsOf: url).tensors()
    }

    private static func rawBytes(of url: URL) throws -> Tensor {
        let file = try MappedFile(contentsOf: url)
        return Tensor(
            dtype: .u8, shape: [file.bytes.count],
            storage: TensorStorage(borrowing: file.bytes, owner: file))
    }

    private static func writeArchive(
        _ tensors: [String: Tensor], _ method: ZipEntry.Method, to url: URL
    ) throws {
        var sink = try HandleSink(url)
        try NPZWriter.write(tensors, method: method, to: &sink)
    }

    // MARK: mlx-ruby

    private static func convertCheckpoint(_ source: URL, to target: URL) throws {
        let checkpoint = try MLXRubyCheckpoint(contentsOf: source)
        var sink = try HandleSink(target)
        guard let format = MLXRubyCheckpoint.WeightsFormat(rawValue: target.pathExtension) else {
            return try checkpoint.writeMarshal(to: &sink)
        }
        try checkpoint.writeWeights(as: format, to: &sink)
        try checkpoint.sidecar(for: format).write(
            to: MLXRubyCheckpoint.sidecarURL(ofWeights: target))
    }
}

/// Writes to a file or a pipe, without going back.
private struct HandleSink: ByteSink {
    private let handle: FileHandle
    private let path: String

    init(_ url: URL) throws {
        path = url.path
        if !FileManager.default.fileExists(atPath: path) { try Data().write(to: url) }
        handle = try FileHandle(forWritingTo: url)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        do {
            for start in stride(from: 0, to: bytes.count, by: 1 << 20) {
                try handle.write(contentsOf: Data(bytes[start..<min(start + 1 << 20, bytes.count)]))
            }
        } catch {
            throw .system(operation: "write", path: path, reason: "\(error)")
        }
    }
}

/// Marshal values as JSON that both sides can compare: numbers and strings by their bits.
///
///     nil, true, false | {"i": hexadecimal} | {"f": bits} | {"s": bytes, "e": encoding}
///     {"y": bytes, "e": encoding} (symbol) | {"a": [...]} | {"h": [[key, value], ...], "d": default}
private enum MarshalText {
    static func json(of value: MarshalValue) -> JSONValue {
        switch value {
        case .null: .null
        case .bool(let value): .bool(value)
        case .integer(let value): ["i": .string(String(value, radix: 16))]
        case .bigInteger(let value):
            [
                "i": .string(
                    (value.isNegative ? "-" : "")
                        + hex(value.magnitude.reversed()).drop { $0 == "0" })
            ]
        case .float(let value):
            ["f": .string(value.isNaN ? "nan" : String(value.bitPattern, radix: 16))]
        case .string(let string): text(of: string, "s")
        case .symbol(let symbol): text(of: symbol, "y")
        case .array(let elements): ["a": .array(elements.map(json))]
        case .hash(let hash): json(of: hash)
        }
    }

    private static func json(of hash: MarshalHash) -> JSONValue {
        var object: JSONValue = [
            "h": .array(hash.pairs.map { [json(of: $0.key), json(of: $0.value)] })
        ]
        if let standard = hash.standard { object["d"] = json(of: standard) }
        return object
    }

    private static let encodings: [(name: String, encoding: MarshalString.Encoding)] = [
        ("ASCII-8BIT", .binary), ("US-ASCII", .ascii), ("UTF-8", .utf8),
    ]

    private static func text(of string: MarshalString, _ key: String) -> JSONValue {
        let name: String
        if case .named(let other) = string.encoding {
            name = other
        } else {
            name = encodings.first { $0.encoding == string.encoding }!.name  // all others
        }
        return [key: .string(hex(string.bytes)), "e": .string(name)]
    }

    static func value(of json: JSONValue) throws -> MarshalValue {
        switch json {
        case .null: return .null
        case .bool(let value): return .bool(value)
        default: break
        }
        if let text = json["i"]?.string { return integer(text) }
        if let text = json["f"]?.string {
            return .float(text == "nan" ? .nan : Double(bitPattern: UInt64(text, radix: 16)!))
        }
        if let text = json["s"]?.string { return .string(string(text, json)) }
        if let text = json["y"]?.string { return .symbol(string(text, json)) }
        if let elements = json["a"]?.array { return .array(try elements.map(value)) }
        guard let pairs = json["h"]?.array else {
            throw UsageError("\(json) is no Marshal value", command: FormatsProbe.name)
        }
        return .hash(
            MarshalHash(
                try pairs.map { pair in
                    (key: try value(of: pair.array![0]), value: try value(of: pair.array![1]))
                }, default: try json["d"].map(value)))
    }

    private static func integer(_ text: String) -> MarshalValue {
        if let small = Int64(text, radix: 16) { return .integer(small) }
        let digits = text.drop { $0 == "-" }
        let magnitude = unhex((digits.count % 2 == 1 ? "0" : "") + digits)
        return .bigInteger(  // or it were small
            MarshalBigInteger(
                isNegative: text.hasPrefix("-"), magnitude: magnitude.reversed())!)
    }

    private static func string(_ text: String, _ json: JSONValue) -> MarshalString {
        let name = json["e"]?.string ?? ""
        return MarshalString(
            bytes: unhex(text),
            encoding: encodings.first { $0.name == name }?.encoding ?? .named(name))
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func unhex(_ text: String) -> [UInt8] {
        let digits = text.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(digits[$0] << 4 | digits[$0 + 1])
        }
    }
}
