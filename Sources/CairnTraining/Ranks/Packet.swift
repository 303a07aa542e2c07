// SPDX-License-Identifier: Apache-2.0
/// Numbers and arrays as the bytes of a message, and messages of any length.

import CairnEngine

/// Bytes with their lengths, for ranks on machines of one byte order.
struct Packet {
    private(set) var bytes: [UInt8] = []
    private var place = 0

    init() {}
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func add(_ number: Int) {
        withUnsafeBytes(of: Int64(number)) { bytes += $0 }
    }

    mutating func add(_ floats: [Float]) {
        add(floats.count)
        floats.withUnsafeBytes { bytes += $0 }
    }

    mutating func number() throws -> Int {
        Int(try take(8) { $0.loadUnaligned(as: Int64.self) })
    }

    mutating func floats() throws -> [Float] {
        let count = try number()
        guard count >= 0, count <= bytes.count / 4 else { throw RanksError.garbled }
        return try take(4 * count) { source in
            [Float](unsafeUninitializedCapacity: count) { target, initialized in
                UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
                initialized = count
            }
        }
    }

    private mutating func take<Result>(
        _ count: Int, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws -> Result {
        guard count >= 0, count <= bytes.count - place else { throw RanksError.garbled }
        defer { place += count }
        return bytes.withUnsafeBytes {
            body(UnsafeRawBufferPointer(rebasing: $0[place..<place + count]))
        }
    }

    /// Several arrays as one.
    static func joined(_ parts: [[UInt8]]) -> [UInt8] {
        var packet = Packet()
        packet.add(parts.count)
        for part in parts {
            packet.add(part.count)
            packet.bytes += part
        }
        return packet.bytes
    }

    /// What was joined.
    static func parts(_ bytes: [UInt8]) throws -> [[UInt8]] {
        var packet = Packet(bytes)
        let count = try packet.number()
        return try (0..<count).map { _ in
            let length = try packet.number()
            return try packet.take(length) { Array($0) }
        }
    }
}

extension Transport {
    /// The most bytes of one message: a count of MPI is a C int.
    private var longest: Int { 1 << 30 }

    /// Sends bytes, their number first, and waits until they have left.
    func send(_ bytes: [UInt8], to rank: Int) throws {
        let count = UInt64(bytes.count)
        try withUnsafeBytes(of: count) { try finish(try start($0, to: rank)) }
        try bytes.withUnsafeBytes { all in
            for place in stride(from: 0, to: all.count, by: longest) {
                let part = all[place..<min(place + longest, all.count)]
                try finish(try start(UnsafeRawBufferPointer(rebasing: part), to: rank))
            }
        }
    }

    /// What `send` of another rank sent.
    func receive(from rank: Int) throws -> [UInt8] {
        var count: UInt64 = 0
        try withUnsafeMutableBytes(of: &count) { try receive(into: $0, from: rank) }
        var bytes = [UInt8](repeating: 0, count: Int(count))
        try bytes.withUnsafeMutableBytes { all in
            for place in stride(from: 0, to: all.count, by: longest) {
                let part = all[place..<min(place + longest, all.count)]
                try receive(into: UnsafeMutableRawBufferPointer(rebasing: part), from: rank)
            }
        }
        return bytes
    }
}
