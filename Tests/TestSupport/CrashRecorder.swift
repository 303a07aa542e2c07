// SPDX-License-Identifier: Apache-2.0
/// The seam of durable writing that remembers every change, for crashes to be put between them.

package import CairnFormats
package import Foundation

/// One change of a file system; files, directories and links are numbers, the root is 0.
enum CrashChange {
    /// An entry appears, disappears, or takes another's place: each is durable or not as a whole.
    case create(in: Int, name: String, node: Int)
    case unlink(in: Int, name: String, node: Int)
    case rename(in: Int, from: String, to: String, node: Int)
    case exchange(in: Int, a: String, nodeA: Int, b: String, nodeB: Int)
    case write(node: Int, offset: Int, bytes: [UInt8])
    case truncate(node: Int, count: Int)
    /// All earlier changes of the node are durable.
    case synchronize(node: Int)
    /// The caller was told that something is done: crashes from here on must not lose it.
    case promise(String)
}

/// What a node is, and holds before the first change.
enum CrashNode: Equatable {
    case file([UInt8])
    case directory([String: Int])
    case link(String)
}

/// Performs operations below a directory and records them as changes of what was there at first.
///
/// Operations on other places are performed and not recorded.
package final class CrashRecorder: FileOperations, @unchecked Sendable {
    // Unchecked: all that changes is under the mutex.
    private let mutex = NSLock()
    private let root: String
    private let canExchange: Bool
    private let forgets: Forgetting?
    private let system = SystemFiles()

    private(set) var initial: [CrashNode] = []
    private(set) var changes: [CrashChange] = []
    /// The tree as it is now.
    private var live: [CrashNode] = []
    private var open: [Int32: Int] = [:]

    /// A fault to plant: synchronizations that bring nothing to the medium.
    package enum Forgetting: Sendable, CaseIterable { case files, directories }

    /// - Parameter root: its content is on the medium.
    package init(_ root: URL, canExchange: Bool = true, forgets: Forgetting? = nil) throws {
        self.forgets = forgets
        self.root = root.path
        self.canExchange = canExchange
        _ = try read(root)
        live = initial
    }

    /// Notes that the caller of the code under test was told that `text` is done.
    package func promise(_ text: String) { mutex.withLock { changes.append(.promise(text)) } }

    private func read(_ url: URL) throws -> Int {
        let node = initial.count
        switch try system.kind(of: url.path) {
        case .directory:
            initial.append(.directory([:]))
            var entries: [String: Int] = [:]
            for name in try system.names(in: url.path).sorted() {
                entries[name] = try read(url.appendingPathComponent(name))
            }
            initial[node] = .directory(entries)
        case .link:
            let target = try FileManager.default.destinationOfSymbolicLink(atPath: url.path)
            initial.append(.link(target))
        default: initial.append(.file(Array(try Data(contentsOf: url))))
        }
        return node
    }

    // MARK: The live tree

    /// The node at a path; nil outside of the root and where nothing is.
    private func node(_ path: String) -> Int? {
        guard path == root || path.hasPrefix(root + "/") else { return nil }
        var node = 0
        for part in path.dropFirst(root.count).split(separator: "/") {
            guard case .directory(let entries) = live[node], let next = entries[String(part)]
            else { return nil }
            node = next
        }
        return node
    }

    /// The directory and the name that a path consists of; nil outside of the root.
    private func place(_ path: String) -> (directory: Int, name: String)? {
        guard let slash = path.lastIndex(of: "/"), let parent = node(String(path[..<slash]))
        else { return nil }
        return (parent, String(path[path.index(after: slash)...]))
    }

    private func setEntry(_ name: String, in directory: Int, to node: Int?) {
        guard case .directory(var entries) = live[directory] else { return }
        entries[name] = node
        live[directory] = .directory(entries)
    }

    private func created(_ path: String, _ content: CrashNode) {
        guard let (directory, name) = place(path) else { return }
        live.append(content)
        // A new node is empty at first; what it holds comes by changes.
        if case .link = content {
            initial.append(content)
        } else {
            initial.append(content == .file([]) ? .file([]) : .directory([:]))
        }
        setEntry(name, in: directory, to: live.count - 1)
        changes.append(.create(in: directory, name: name, node: live.count - 1))
    }

    private func removed(_ path: String) {
        guard let (directory, name) = place(path), let node = node(path) else { return }
        setEntry(name, in: directory, to: nil)
        changes.append(.unlink(in: directory, name: name, node: node))
    }

    // MARK: Operations

    package func makeDirectory(_ path: String) throws(FormatError) {
        try system.makeDirectory(path)
        mutex.withLock { created(path, .directory([:])) }
    }

    package func createFile(_ path: String) throws(FormatError) -> Int32 {
        let file = try system.createFile(path)
        mutex.withLock {
            created(path, .file([]))
            open[file] = node(path)
        }
        return file
    }

    package func openForAppending(_ path: String) throws(FormatError) -> Int32 {
        let file = try system.openForAppending(path)
        mutex.withLock {
            if node(path) == nil { created(path, .file([])) }
            open[file] = node(path)
        }
        return file
    }

    /// No change of its own: room that nothing was written to reads as the zeros that a crash may
    /// leave of any file.
    package func reserve(_ count: Int, in file: Int32, path: String) throws(FormatError) {
        try system.reserve(count, in: file, path: path)
    }

    package func write(
        _ bytes: UnsafeRawBufferPointer, to file: Int32, path: String
    ) throws(FormatError) -> Int {
        let count = try system.write(bytes, to: file, path: path)
        mutex.withLock {
            guard let node = open[file], case .file(let content) = live[node] else { return }
            let written = Array(bytes.prefix(count))
            live[node] = .file(content + written)
            changes.append(.write(node: node, offset: content.count, bytes: written))
        }
        return count
    }

    package func truncate(_ file: Int32, to count: Int, path: String) throws(FormatError) {
        try system.truncate(file, to: count, path: path)
        mutex.withLock {
            guard let node = open[file], case .file(let content) = live[node] else { return }
            live[node] = .file(Array(content.prefix(count)))
            changes.append(.truncate(node: node, count: count))
        }
    }

    /// The files of a test need not reach the medium: what would is recorded.
    package func synchronize(_ file: Int32, path: String) throws(FormatError) {
        mutex.withLock {
            if let node = open[file], forgets != .files { changes.append(.synchronize(node: node)) }
        }
    }

    /// What is written is recorded, by way of memory.
    package func bypassMemory(_ file: Int32, _ bypasses: Bool) -> Bool { false }

    package func close(_ file: Int32, path: String) throws(FormatError) {
        mutex.withLock { open[file] = nil }
        try system.close(file, path: path)
    }

    package func synchronizeDirectory(_ path: String) throws(FormatError) {
        mutex.withLock {
            if let node = node(path), forgets != .directories {
                changes.append(.synchronize(node: node))
            }
        }
    }

    package func makeLink(_ path: String, to destination: String) throws(FormatError) {
        try system.makeLink(path, to: destination)
        mutex.withLock { created(path, .link(destination)) }
    }

    package func rename(_ source: String, to target: String) throws(FormatError) {
        try system.rename(source, to: target)
        mutex.withLock {
            guard let node = node(source), let (from, old) = place(source),
                let (to, new) = place(target)
            else { return }
            precondition(from == to, "\(source) renamed into another directory: \(target)")
            setEntry(old, in: from, to: nil)
            setEntry(new, in: to, to: node)
            changes.append(.rename(in: from, from: old, to: new, node: node))
        }
    }

    package func exchange(_ a: String, with b: String) throws(FormatError) -> Bool {
        guard canExchange, try system.exchange(a, with: b) else { return false }
        mutex.withLock {
            guard let nodeA = node(a), let nodeB = node(b), let (from, nameA) = place(a),
                let (to, nameB) = place(b)
            else { return }
            precondition(from == to, "\(a) exchanged with another directory's \(b)")
            setEntry(nameA, in: from, to: nodeB)
            setEntry(nameB, in: to, to: nodeA)
            changes.append(.exchange(in: from, a: nameA, nodeA: nodeA, b: nameB, nodeB: nodeB))
        }
        return true
    }

    package func removeFile(_ path: String) throws(FormatError) {
        try system.removeFile(path)
        mutex.withLock { removed(path) }
    }

    package func removeDirectory(_ path: String) throws(FormatError) {
        try system.removeDirectory(path)
        mutex.withLock { removed(path) }
    }

    package func kind(of path: String) throws(FormatError) -> FileKind {
        try system.kind(of: path)
    }

    package func names(in path: String) throws(FormatError) -> [String] {
        try system.names(in: path)
    }
}
