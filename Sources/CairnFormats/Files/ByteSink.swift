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
    public mutating func reserve(_ byteCount: Int) throws(FormatError) {}

    public mutating func write(_ data: Data) throws(FormatError) {
        let result = data.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try write(bytes) }
        }
        try result.get()
    }
}

/// Collects bytes in memory.
public struct DataSink: ByteSink {
    public private(set) var data = Data()

    public init() {}

    public mutating func write(_ bytes: UnsafeRawBufferPointer) { data.append(contentsOf: bytes) }
}
