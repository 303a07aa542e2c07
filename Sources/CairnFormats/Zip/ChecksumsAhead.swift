// SPDX-License-Identifier: Apache-2.0
/// Checksums of what is about to be written, taken while that before it is on its way.

import CairnTensor
import Foundation

/// The CRC-32 of each of some arrays in order, computed by a thread of its own.
///
/// A stored entry's checksum stands in front of its data. Summed up in the thread that writes, it
/// would cost another pass over the data before each of them.
final class ChecksumsAhead: @unchecked Sendable {
    private let ready = DispatchSemaphore(value: 0)
    private let lock = NSLock()
    // Guarded by `lock`.
    private var values: [UInt32] = []
    private var taken = 0

    init(_ entries: [(header: Data, tensor: Tensor)]) {
        DispatchQueue.global(qos: .userInitiated).async { [weak self] in
            for (header, tensor) in entries {
                var checksum = CRC32()
                header.withUnsafeBytes { checksum.update($0) }
                tensor.withBytes { checksum.update($0) }
                // Gone when the writing failed.
                guard let self else { return }
                deliver(checksum.value)
            }
        }
    }

    private func deliver(_ value: UInt32) {
        lock.withLock { values.append(value) }
        ready.signal()
    }

    /// The next array's, waited for.
    ///
    /// - Precondition: Not asked for more often than there are arrays.
    func next() -> UInt32 {
        ready.wait()
        return lock.withLock {
            defer { taken += 1 }
            return values[taken]
        }
    }
}
