// SPDX-License-Identifier: Apache-2.0
/// How much memory this process has held.

import Foundation

/// Memory of this process as the system counts it.
public enum ResidentMemory {
    /// The largest resident size so far, in bytes; mapped files count where they were touched.
    public static var peakByteCount: Int {
        #if os(Linux)
            // getrusage also counts what the process was before it became this program.
            let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let line = status?.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first
            if let count = kilobytes.flatMap({ Int($0) }) { return count * 1024 }
        #endif
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

    /// The resident size as it is now, in bytes; the peak where the system does not say.
    static var byteCount: Int {
        #if canImport(Darwin)
            var info = mach_task_basic_info()
            var count = mach_msg_type_number_t(
                MemoryLayout<mach_task_basic_info>.size / MemoryLayout<integer_t>.size)
            let status = withUnsafeMutablePointer(to: &info) { pointer in
                pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                    task_info(mach_task_self_, task_flavor_t(MACH_TASK_BASIC_INFO), $0, &count)
                }
            }
            return status == KERN_SUCCESS ? Int(info.resident_size) : peakByteCount
        #else
            // "size resident shared ...", in pages.
            let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            let pages = text?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
            return pages.map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) } ?? peakByteCount
        #endif
    }
}
