// SPDX-License-Identifier: Apache-2.0
/// The seam of durable writing with failures put in.

import CairnFormats

/// The system's operations, recorded; those numbered in `failing` (from 0) throw instead.
final class FaultyFiles: FileOperations, @unchecked Sendable {
    // Unchecked: each test uses its own on one thread.
    let failing: Set<Int>
    let canExchange: Bool
    private(set) var log: [String] = []
    private let system = SystemFiles()

    init(failing: Set<Int> = [], canExchange: Bool = true) {
        self.failing = failing
        self.canExchange = canExchange
    }

    static let failure = FormatError.system(operation: "test", path: "-", reason: "injected")

    private func step(_ name: String, _ paths: String...) throws(FormatError) {
        log.append(
            ([name] + paths.map { $0.split(separator: "/").last.map(Self.plain) ?? "" })
                .joined(separator: " "))
        if failing.contains(log.count - 1) { throw Self.failure }
    }

    /// The name without its nonce.
    private static func plain(_ name: Substring) -> String {
        guard name.hasPrefix("."), let dash = name.lastIndex(of: "-") else { return String(name) }
        return String(name[..<dash])
    }

    func makeDirectory(_ path: String) throws(FormatError) {
        try step("mkdir", path)
        try system.makeDirectory(path)
    }

    func createFile(_ path: String) throws(FormatError) -> Int32 {
        try step("create", path)
        return try system.createFile(path)
    }

    func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, path: String) throws(FormatError) {
        try step("write", path)
        try system.write(bytes, to: file, path: path)
    }

    func synchronize(_ file: Int32, path: String) throws(FormatError) {
        try step("sync", path)
        try system.synchronize(file, path: path)
    }

    func close(_ file: Int32, path: String) throws(FormatError) {
        try system.close(file, path: path)
        try step("close", path)
    }

    func synchronizeDirectory(_ path: String) throws(FormatError) {
        try step("syncdir", path)
        try system.synchronizeDirectory(path)
    }

    func rename(_ source: String, to target: String) throws(FormatError) {
        try step("rename", source, target)
        try system.rename(source, to: target)
    }

    func exchange(_ a: String, with b: String) throws(FormatError) -> Bool {
        try step("exchange", a, b)
        return try canExchange ? system.exchange(a, with: b) : false
    }

    func remove(_ path: String) throws(FormatError) {
        try step("remove", path)
        try system.remove(path)
    }

    func kind(of path: String) throws(FormatError) -> FileKind {
        try step("look", path)
        return try system.kind(of: path)
    }
}
