// SPDX-License-Identifier: Apache-2.0
/// What a TensorBoard event file holds, as bytes.

import Foundation

/// An event of a run.
///
/// As a protocol buffer (proto3, fields of a default value left out):
///
///     Event      1 wall_time double   2 step int64   3 file_version string
///                5 summary Summary    7 session_log SessionLog
///     Summary    1 value Value, repeated
///     Value      1 tag string         2 simple_value float
///     SessionLog 1 status enum: START = 1
///
/// As a record of a file, little-endian: u64 length, u32 masked CRC-32C of the length's 8 bytes,
/// the bytes, u32 masked CRC-32C of them.
public struct TensorBoardEvent: Sendable, Equatable {
    /// A value under a name; a name's part before "/" is the group that TensorBoard shows it in.
    public struct Scalar: Sendable, Equatable {
        /// The name of the curve.
        public let tag: String
        /// The number at this step.
        public let value: Float

        /// A number of a curve.
        public init(_ tag: String, _ value: Float) {
            self.tag = tag
            self.value = value
        }
    }

    /// What an event says.
    public enum Content: Sendable, Equatable {
        /// "brain.Event:2": the first event of a file.
        case fileVersion
        /// From the event's step on, what earlier files of the directory hold was not to be.
        ///
        /// Readers let the first start of a directory pass, and at each later one drop every value
        /// whose step is at least this event's.
        case start
        /// Numbers of curves at one step.
        case scalars([Scalar])
    }

    /// Seconds since 1970.
    public let wallTime: Double
    /// The step that the event is of.
    public let step: Int
    /// What it says.
    public let content: Content

    /// - Precondition: `step` is not negative.
    public init(wallTime: Double, step: Int, _ content: Content) {
        precondition(step >= 0, "event at step \(step)")
        self.wallTime = wallTime
        self.step = step
        self.content = content
    }

    /// The protocol buffer.
    public var encoded: Data {
        var message = ProtocolBuffer()
        message.add(field: 1, double: wallTime)
        if step != 0 { message.add(field: 2, varint: UInt64(step)) }
        switch content {
        case .fileVersion:
            message.add(field: 3, bytes: Data("brain.Event:2".utf8))
        case .scalars(let scalars):
            message.add(field: 5, bytes: Self.summary(scalars))
        case .start:
            var log = ProtocolBuffer()
            log.add(field: 1, varint: 1)
            message.add(field: 7, bytes: log.data)
        }
        return message.data
    }

    /// The protocol buffer framed as a record.
    public var record: Data {
        let data = encoded
        let length = Data(littleEndian: UInt64(data.count))
        return length + Data(littleEndian: CRC32C.masked(length)) + data
            + Data(littleEndian: CRC32C.masked(data))
    }

    private static func summary(_ scalars: [Scalar]) -> Data {
        var summary = ProtocolBuffer()
        for scalar in scalars {
            var value = ProtocolBuffer()
            value.add(field: 1, bytes: Data(scalar.tag.utf8))
            // One of several kinds of value: written even where it is 0.
            value.add(field: 2, float: scalar.value)
            summary.add(field: 1, bytes: value.data)
        }
        return summary.data
    }
}

/// Fields of a message in wire format.
///
/// Source: Protocol Buffers, "Encoding": a field's key is number · 8 + wire type, the types being
/// 0 varint, 1 eight bytes, 2 a length and bytes, 5 four bytes.
private struct ProtocolBuffer {
    private(set) var data = Data()

    mutating func add(field: UInt64, varint value: UInt64) {
        append(varint: field << 3)
        append(varint: value)
    }

    mutating func add(field: UInt64, double value: Double) {
        append(varint: field << 3 | 1)
        data += Data(littleEndian: value.bitPattern)
    }

    mutating func add(field: UInt64, bytes: Data) {
        append(varint: field << 3 | 2)
        append(varint: UInt64(bytes.count))
        data += bytes
    }

    mutating func add(field: UInt64, float value: Float) {
        append(varint: field << 3 | 5)
        data += Data(littleEndian: value.bitPattern)
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    private mutating func append(varint value: UInt64) {
        var rest = value
        while rest > 0x7F {
            data.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        data.append(UInt8(rest))
    }
}

extension Data {
    fileprivate init(littleEndian value: some FixedWidthInteger) {
        self = Swift.withUnsafeBytes(of: value.littleEndian) { Data($0) }
    }
}
