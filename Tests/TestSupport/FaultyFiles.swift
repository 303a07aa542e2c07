// SPDX-License-Identifier: Apache-2.0
/// The seam of durable writing with failures put in.

package import CairnFormats

/// The system's operations, recorded; those numbered in `failing` (from 0) throw instead.
///
/// A write that is numbered in `halving` puts half of its bytes into the file before it throws.
/// From the one numbered `fullFrom` on the disk has no room: nothing is made and nothing written.
/// With `interrupts` a signal cuts every write short, and every second one before its first byte.
/// Without `synchronizes` nothing waits for the medium, which takes most of the time of a test.
package final class FaultyFiles: FileOperations, @unchecked Sendable {
    // Unchecked: each test uses its own on one thread.
    private let failing: Set<Int>
    private let halving: Set<Int>
    private let canExchange: Bool
    private let fullFrom: Int
    private let interrupts: Bool
    private var writes = 0
    /// Descriptors that were opened and not closed.
    package private(set) var openCount = 0
    package private(set) var log: [String] = []
    private let system: SystemFiles

    package init(
        failing: Set<Int> = [], halving: Set<Int> = [], canExchange: Bool = true,
        fullFrom: Int = .max, interrupts: Bool = false, synchronizes: Bool = true
    ) {
        system = SystemFiles(synchronizes: synchronizes)
        self.fullFrom = fullFrom
        self.interrupts = interrupts
        self.failing = failing
        self.halving = halving
        self.canExchange = canExchange
    }

    package static let full = FormatError.system(
        operation: "test", path: "-", reason: "No space left on device")
    package static let failure = FormatError.system(
        operation: "test", path: "-", reason: "injected")

    private func step(_ name: String, _ paths: String...) throws(FormatError) {
        log.append(
            ([name] + paths.map { $0.split(separator: "/").last.map(Self.plain) ?? "" })
                .joined(separator: " "))
        if failing.contains(log.count - 1) { throw Self.failure }
        let needsSpace = ["mkdir", "create", "append to", "write", "link"].contains(name)
        if log.count > fullFrom && needsSpace { throw Self.full }
    }

    /// The name without its nonce.
    private static func plain(_ name: Substring) -> String {
        guard name.hasPrefix("."), let dash = name.lastIndex(of: "-") else { return String(name) }
        return String(name[..<dash])
    }

    package func makeDirectory(_ path: String) throws(FormatError) {
        try step("mkdir", path)
        try system.makeDirectory(path)
    }

    package func createFile(_ path: String) throws(FormatError) -> Int32 {
        try step("create", path)
        let file = try system.createFile(path)
        openCount += 1
        return file
    }

    package func openForAppending(_ path: String) throws(FormatError) -> Int32 {
        try step("append to", path)
        let file = try system.openForAppending(path)
        openCount += 1
        return file
    }

    package func reserve(_ count: Int, in file: Int32, path: String) throws(FormatError) {
        try step("reserve", path)
        try system.reserve(count, in: file, path: path)
    }

    package func write(
        _ bytes: UnsafeRawBufferPointer, to file: Int32, path: String
    ) throws(FormatError) -> Int {
        try step("write", path)
        if halving.contains(log.count - 1) {
            let half = UnsafeRawBufferPointer(rebasing: bytes.prefix(bytes.count / 2))
            try system.writeAll(half, to: file, path: path)
            throw Self.failure
        }
        guard interrupts else { return try system.write(bytes, to: file, path: path) }
        writes += 1
        if writes % 2 == 1 { return 0 }
        let few = UnsafeRawBufferPointer(rebasing: bytes.prefix(max(1, bytes.count / 3)))
        return try system.write(few, to: file, path: path)
    }

    package func truncate(_ file: Int32, to count: Int, path: String) throws(FormatError) {
        try step("truncate", path)
        try system.truncate(file, to: count, path: path)
    }

    package func synchronize(_ file: Int32, path: String) throws(FormatError) {
        try step("sync", path)
        try system.synchronize(file, path: path)
    }

    package func bypassMemory(_ file: Int32, _ bypasses: Bool) -> Bool {
        system.bypassMemory(file, bypasses)
    }

    package func close(_ file: Int32, path: String) throws(FormatError) {
        try system.close(file, path: path)
        openCount -= 1
        try step("close", path)
    }

    package func synchronizeDirectory(_ path: String) throws(FormatError) {
        try step("syncdir", path)
        try system.synchronizeDirectory(path)
    }

    package func makeLink(_ path: String, to destination: String) throws(FormatError) {
        try step("link", path)
        try system.makeLink(path, to: destination)
    }

    package func rename(_ source: String, to target: String) throws(FormatError) {
        try step("rename", source, target)
        try system.rename(source, to: target)
    }

    package func exchange(_ a: String, with b: String) throws(FormatError) -> Bool {
        try step("exchange", a, b)
        return try canExchange ? system.exchange(a, with: b) : false
    }

    package func removeFile(_ path: String) throws(FormatError) {
        try step("remove", path)
        try system.removeFile(path)
    }

    package func removeDirectory(_ path: String) throws(FormatError) {
        try step("rmdir", path)
        try system.removeDirectory(path)
    }

    package func kind(of path: String) throws(FormatError) -> FileKind {
        try step("look", path)
        return try system.kind(of: path)
    }

    package func names(in path: String) throws(FormatError) -> [String] {
        try step("list", path)
        return try system.names(in: path)
    }
}
