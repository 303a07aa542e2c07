// SPDX-License-Identifier: Apache-2.0
/// Readers with a fault on purpose, which the fuzzer must find: a check of the checker.

import Foundation

/// A fault behind four letters, so that only a search guided by coverage comes upon it.
enum KnownFault: String {
    case address = "known-address"
    case trap = "known-trap"
    case hang = "known-hang"
    case memory = "known-memory"

    var read: @Sendable (UnsafeRawBufferPointer) throws -> Void {
        { bytes in
            guard bytes.count >= 5, bytes[0] == UInt8(ascii: "F"), bytes[1] == UInt8(ascii: "U"),
                bytes[2] == UInt8(ascii: "Z"), bytes[3] == UInt8(ascii: "Z")
            else { return }
            try fail(bytes)
        }
    }

    private func fail(_ bytes: UnsafeRawBufferPointer) throws {
        switch self {
        case .address:  // the first byte behind the input
            print(bytes.baseAddress!.load(fromByteOffset: bytes.count, as: UInt8.self))
        case .trap:
            print(Array(bytes)[bytes.count])
        case .hang:
            while bytes[0] == UInt8(ascii: "F") { usleep(1000) }
        case .memory:
            print(Data(count: 1 << 30).count)
        }
    }
}
