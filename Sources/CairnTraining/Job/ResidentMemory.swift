// SPDX-License-Identifier: Apache-2.0
/// How much memory this process has held.

import Foundation

/// Memory of this process as the system counts it.
public enum ResidentMemory {
    /// The largest resident size so far, in bytes; mapped files count where they were touched.
    public static var peakByteCount: Int {
        var usage = rusage()
        #if canImport(Glibc)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #else
            getrusage(RUSAGE_SELF, &usage)
        #endif
        #if canImport(Darwin)
            return Int(usage.ru_maxrss)
        #else
            // Linux counts in units of 1024 bytes.
            return Int(usage.ru_maxrss) * 1024
        #endif
    }
}
