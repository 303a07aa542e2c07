// SPDX-License-Identifier: Apache-2.0
/// Which process of which boot of which machine: what a number alone does not say.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A process, told apart from a later one of the same number.
public struct ProcessIdentity: Equatable, Sendable {
    /// The process's number.
    public let pid: Int32
    /// The machine's name.
    public let host: String
    /// Names one boot of the machine; empty where the system does not say.
    public let boot: String
    /// When the process began, in a unit of the system's; empty where it does not say.
    public let start: String

    package init(pid: Int32, host: String, boot: String, start: String) {
        self.pid = pid
        self.host = host
        self.boot = boot
        self.start = start
    }

    /// This process.
    public static var current: ProcessIdentity {
        let pid = getpid()
        return ProcessIdentity(
            pid: pid, host: hostName, boot: bootName, start: startTime(of: pid) ?? "")
    }

    /// Whether a process of another machine is meant, of whose life nothing is known here.
    var isElsewhere: Bool { host != Self.hostName }

    /// Whether it is running; where that cannot be known, as elsewhere, it counts as running.
    var isAlive: Bool {
        if isElsewhere { return true }
        if boot != Self.bootName { return false }
        if kill(pid, 0) != 0 && errno == ESRCH { return false }
        guard let now = Self.startTime(of: pid) else { return true }
        return start.isEmpty || start == now
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    #if canImport(Darwin)
        private static var bootName: String {
            var size = 0
            guard sysctlbyname("kern.bootsessionuuid", nil, &size, nil, 0) == 0 else { return "" }
            var text = [UInt8](repeating: 0, count: size)
            guard sysctlbyname("kern.bootsessionuuid", &text, &size, nil, 0) == 0 else {
                return ""
            }
            return String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }

        private static func startTime(of pid: Int32) -> String? {
            var query = [CTL_KERN, KERN_PROC, KERN_PROC_PID, pid]
            var info = kinfo_proc()
            var size = MemoryLayout<kinfo_proc>.size
            guard sysctl(&query, u_int(query.count), &info, &size, nil, 0) == 0, size > 0 else {
                return nil
            }
            let time = info.kp_proc.p_starttime
            return "\(time.tv_sec).\(time.tv_usec)"
        }
    #else
        private static var bootName: String {
            let text = try? String(
                contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
            return text?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        }

        /// Field 22 of the process's line: clock ticks from the boot to its start.
        private static func startTime(of pid: Int32) -> String? {
            guard let line = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
                let end = line.lastIndex(of: ")")  // the name before it may hold anything
            else { return nil }
            let fields = line[line.index(after: end)...].split(separator: " ")
            return fields.count > 19 ? String(fields[19]) : nil
        }
    #endif
}
