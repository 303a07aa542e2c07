// SPDX-License-Identifier: Apache-2.0
/// Where writers of formats put their bytes.

import Foundation

/// Takes bytes in order.
public protocol ByteSink {
    /// Takes all of `bytes`, or throws.
    mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError)

    /// Learns that at least `byteCount` bytes are to come, and may ask for their room now; throws
    /// where there is none.
    mutating func reserve(_ byteCount: Int) throws(FormatError)
}

extension ByteSink {
    /// Asks for nothing.
    public mutating func reserve(_ byteCount: Int) throws(FormatError) {}

    /// Takes all of `data`, or throws.
    public mutating func write(_ data: Data) throws(FormatError) {
        let result = data.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try write(bytes) }
        }
        try result.get()
    }
}

/// Collects bytes in memory.
public struct DataSink: ByteSink {
    /// All that was written, in order.
    public private(set) var data = Data()

    /// An empty sink.
    public init() {}

    public mutating func write(_ bytes: UnsafeRawBufferPointer) { data.append(contentsOf: bytes) }
}
