// SPDX-License-Identifier: Apache-2.0
/// Every state that a crash can leave of a recorded sequence of file operations.

internal import CairnFormats
package import Foundation

/// How far states are enumerated where all of them would be too many.
package struct CrashLimits: Sendable {
    /// Every subset of up to so many entries that are not durable is taken; of more, all but two
    /// at most, two at most, every beginning and every end.
    package var entries: Int
    /// Every combination for up to so many writes that are not durable; of more, each one damaged
    /// alone, each one alone, every beginning before nothing or zeros, all damaged alike.
    package var writes: Int
    /// Up to so many pairs of these two are all taken; of more, each of either with the other side
    /// all there and all lost.
    package var pairs: Int

    package init(entries: Int, writes: Int, pairs: Int) {
        self.entries = entries
        self.writes = writes
        self.pairs = pairs
    }

    package static let quick = CrashLimits(entries: 7, writes: 3, pairs: 1_500)
    package static let full = CrashLimits(entries: 10, writes: 3, pairs: 20_000)
}

/// A tree that a crash may leave.
package struct CrashState: Sendable {
    /// What the caller had been told by then.
    package let promises: [String]
    /// Which changes did not arrive.
    package let story: String
    /// Whether no state with this tree came before; one that did had fewer promises.
    package let isNewTree: Bool
    let files: [(path: String, node: CrashNode)]

    /// Makes the tree in an empty directory.
    package func write(to directory: URL) throws {
        let system = SystemFiles()
        for (path, node) in files {
            let url = directory.appendingPathComponent(path)
            switch node {
            case .directory: try system.makeDirectory(url.path)
            case .link(let target): try system.makeLink(url.path, to: target)
            case .file(let bytes):
                let file = try system.createFile(url.path)
                defer { try? system.close(file, path: url.path) }
                try bytes.withUnsafeBytes { try system.writeAll($0, to: file, path: url.path) }
            }
        }
    }
}

/// The states of a recording, each different tree once for each set of promises.
///
/// **The model.** After each change the machine may stop. An entry made, moved, exchanged or
/// removed is durable once its directory was synchronized after it; of those that are not, any
/// subset may have arrived. Bytes are durable once their file was synchronized; of later writes
/// each may have arrived in full, in its first half, as zeros, or not at all, and each shortening
/// or not. This is weaker than any file system in use: journals keep the order of entries.
package struct CrashStates {
    private let initial: [CrashNode]
    private let changes: [CrashChange]
    private let limits: CrashLimits
    private var contents: [String: [UInt8]] = [:]
    private var seen: Set<String> = []

    /// Different pairs of promises and a tree so far, different trees among them, and how many
    /// combinations of changes they came from.
    package private(set) var count = 0
    package private(set) var treeCount = 0
    package private(set) var combinations = 0

    package init(_ recorder: CrashRecorder, limits: CrashLimits = .quick) {
        initial = recorder.initial
        changes = recorder.changes
        self.limits = limits
    }

    package mutating func forEach(_ body: (CrashState) throws -> Void) rethrows {
        for end in 0...changes.count where isTurningPoint(end) {
            let moment = Moment(initial, changes[..<end])
            var known: (entries: [Bool], tree: Tree)?
            for (entries, writes) in choices(moment) {
                combinations += 1
                let tree = known?.entries == entries ? known!.tree : tree(moment, entries)
                known = (entries, tree)
                let key = tree.key + fatesKey(moment, writes, of: tree.nodes)
                guard seen.insert("\(moment.promises.count)|" + key).inserted else { continue }
                let isNew = seen.insert(key).inserted
                count += 1
                treeCount += isNew ? 1 : 0
                try body(
                    CrashState(
                        promises: moment.promises,
                        story: story(end, moment, entries, writes), isNewTree: isNew,
                        files: tree.paths.map { ($0, content($1, moment, writes)) }))
            }
        }
    }

    /// Whether the next change makes earlier ones durable, or promises them. Before any other one
    /// each state is among those of the next moment: that change did not arrive.
    private func isTurningPoint(_ end: Int) -> Bool {
        guard end < changes.count else { return true }
        switch changes[end] {
        case .synchronize, .promise: return true
        default: return false
        }
    }

    // MARK: One state

    /// The paths of a tree, parents first, and a text that is the same for equal trees.
    private struct Tree {
        var key = ""
        var paths: [(String, Int)] = []
        var nodes: Set<Int> = []
    }

    private func tree(_ moment: Moment, _ entries: [Bool]) -> Tree {
        var nodes = moment.nodes
        for (index, arrived) in zip(moment.pendingEntries, entries) where arrived {
            Moment.apply(changes[index], to: &nodes)
        }
        var tree = Tree()
        func visit(_ node: Int, _ path: String) {
            tree.nodes.insert(node)
            guard case .directory(let names) = nodes[node] else {
                tree.key += "\(path)=\(node).\(moment.durable[node] ?? 0);"
                return
            }
            tree.key += "\(path)/;"
            for (name, child) in names.sorted(by: { $0.key < $1.key }) {
                let inside = path.isEmpty ? name : path + "/" + name
                tree.paths.append((inside, child))
                visit(child, inside)
            }
        }
        visit(0, "")
        return tree
    }

    /// What became of the writes to files that the tree holds.
    private func fatesKey(_ moment: Moment, _ fates: [Fate], of nodes: Set<Int>) -> String {
        var key = ""
        for (index, fate) in zip(moment.pendingWrites, fates)
        where nodes.contains(changes[index].file!) {
            key += "\(index).\(fate.rawValue) "
        }
        return key
    }

    private mutating func content(_ node: Int, _ moment: Moment, _ fates: [Fate]) -> CrashNode {
        guard case .file(let first) = initial[node] else {
            if case .directory = initial[node] { return .directory([:]) }
            return initial[node]
        }
        let durable = moment.durable[node] ?? 0
        let key = "\(node) \(durable)"
        var bytes = contents[key] ?? first
        if contents[key] == nil {
            for change in changes[..<durable] where change.file == node {
                Fate.whole.apply(change, to: &bytes)
            }
            contents[key] = bytes
        }
        for (index, fate) in zip(moment.pendingWrites, fates) where changes[index].file == node {
            fate.apply(changes[index], to: &bytes)
        }
        return .file(bytes)
    }

    private func story(_ end: Int, _ moment: Moment, _ entries: [Bool], _ writes: [Fate]) -> String
    {
        let lost = zip(moment.pendingEntries, entries).filter { !$1 }.map { "\(changes[$0.0])" }
        let torn = zip(moment.pendingWrites, writes).filter { $1 != .whole }.map {
            "\($0) is \($1)"
        }
        return "after \(end) changes, promised \(moment.promises.last ?? "nothing"), without "
            + (lost + torn).joined(separator: ", ")
    }

    // MARK: Choices

    private func choices(_ moment: Moment) -> [([Bool], [Fate])] {
        let entries = Self.subsets(moment.pendingEntries.count, all: limits.entries)
        let writes = fates(moment.pendingWrites)
        if entries.count * writes.count <= limits.pairs {
            return entries.flatMap { entry in writes.map { (entry, $0) } }
        }
        let (e, w) = (moment.pendingEntries.count, moment.pendingWrites.count)
        let sides: [([Bool], [Fate])] = [true, false].flatMap { arrived in
            entries.map { ($0, [Fate](repeating: arrived ? .whole : .lost, count: w)) }
                + writes.map { ([Bool](repeating: arrived, count: e), $0) }
        }
        return sides
    }

    private static func subsets(_ count: Int, all limit: Int) -> [[Bool]] {
        if count <= limit {
            return (0..<(1 << count)).map { mask in (0..<count).map { mask >> $0 & 1 == 1 } }
        }
        var result: [[Bool]] = []
        for common in [true, false] {
            let base = [Bool](repeating: common, count: count)
            result.append(base)
            for a in 0..<count {
                for b in a..<count {
                    var subset = base
                    subset[a] = !common
                    subset[b] = !common
                    result.append(subset)
                }
                result.append((0..<count).map { $0 <= a ? common : !common })
            }
        }
        return result
    }

    private func fates(_ writes: [Int]) -> [[Fate]] {
        let possible = writes.map { Fate.possible(changes[$0]) }
        if writes.count <= limits.writes {
            return possible.reduce([[]]) { all, next in
                all.flatMap { one in next.map { one + [$0] } }
            }
        }
        func all(_ fate: Fate) -> [Fate] { possible.map { $0.contains(fate) ? fate : .lost } }
        var result = Fate.allCases.map(all)
        for (place, own) in possible.enumerated() {
            for fate in own where fate != .whole {
                result.append(all(.whole).enumerated().map { $0 == place ? fate : $1 })
            }
            for rest in [Fate.lost, .zeros] {
                result.append(all(rest).enumerated().map { $0 <= place ? .whole : $1 })
            }
            result.append(all(.lost).enumerated().map { $0 == place ? .whole : $1 })
        }
        return result
    }
}

/// What becomes of a write that is not durable.
enum Fate: Int, CaseIterable {
    case whole, half, zeros, lost

    static func possible(_ change: CrashChange) -> [Fate] {
        if case .truncate = change { return [.whole, .lost] }
        return allCases
    }

    func apply(_ change: CrashChange, to content: inout [UInt8]) {
        switch change {
        case .write(_, let offset, let bytes):
            let arrived: [UInt8]
            switch self {
            case .whole: arrived = bytes
            case .half: arrived = Array(bytes.prefix(bytes.count / 2))
            case .zeros: arrived = [UInt8](repeating: 0, count: bytes.count)
            case .lost: return
            }
            let missing = offset + arrived.count - content.count
            if missing > 0 { content += [UInt8](repeating: 0, count: missing) }
            content.replaceSubrange(offset..<(offset + arrived.count), with: arrived)
        case .truncate(_, let count) where self == .whole:
            content = Array(content.prefix(count))
        default: break
        }
    }
}

extension CrashChange {
    /// The file whose content changes.
    var file: Int? {
        switch self {
        case .write(let node, _, _), .truncate(let node, _): node
        default: nil
        }
    }

    /// The directory whose entries change.
    var directory: Int? {
        switch self {
        case .create(let directory, _, _), .unlink(let directory, _, _),
            .rename(let directory, _, _, _), .exchange(let directory, _, _, _, _):
            directory
        default: nil
        }
    }
}

/// After some changes: what is durable, and what may be.
private struct Moment {
    /// The durable entries.
    var nodes: [CrashNode]
    /// For each node that was synchronized, up to which change it is durable.
    var durable: [Int: Int] = [:]
    /// Changes of entries, and of files, that are not durable.
    var pendingEntries: [Int] = []
    var pendingWrites: [Int] = []
    var promises: [String] = []

    init(_ initial: [CrashNode], _ changes: ArraySlice<CrashChange>) {
        nodes = initial
        for (index, change) in changes.enumerated() {
            if case .synchronize(let node) = change { durable[node] = index }
            if case .promise(let text) = change { promises.append(text) }
        }
        for (index, change) in changes.enumerated() {
            if let directory = change.directory {
                if index < durable[directory] ?? 0 {
                    Self.apply(change, to: &nodes)
                } else {
                    pendingEntries.append(index)
                }
            } else if let file = change.file, index >= durable[file] ?? 0 {
                pendingWrites.append(index)
            }
        }
    }

    static func apply(_ change: CrashChange, to nodes: inout [CrashNode]) {
        guard let directory = change.directory, case .directory(var names) = nodes[directory]
        else { return }
        switch change {
        case .create(_, let name, let node): names[name] = node
        case .unlink(_, let name, let node):
            if names[name] == node { names[name] = nil }
        case .rename(_, let from, let to, let node):
            if names[from] == node { names[from] = nil }
            names[to] = node
        case .exchange(_, let a, let nodeA, let b, let nodeB):
            names[a] = nodeB
            names[b] = nodeA
        default: break
        }
        nodes[directory] = .directory(names)
    }
}
