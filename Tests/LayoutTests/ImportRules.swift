// SPDX-License-Identifier: Apache-2.0
/// Which target may import what, and how source files are searched for offences.

import Foundation

/// The arrows of the design as a table; they point down only.
enum ImportRules {
    private static let platform: Set<String> = ["Darwin", "Glibc", "Musl"]
    private static let core: Set<String> = [
        "CairnTensor", "CairnEngine", "CairnGraph", "CairnFormats", "CairnText", "CairnModels",
    ]

    /// Import lines that a target may hold, apart from an access level before `import`.
    static let allowed: [String: Set<String>] = [
        // The system's advice on memory, which this target owns; nothing else.
        "CairnTensor": platform,
        "CairnEngine": platform.union(["CairnTensor", "CCairn", "CCairnCUDA", "CCairnMPI"]),
        "CairnGraph": ["CairnTensor", "CairnEngine"],
        "CairnFormats": platform.union(["CairnTensor", "CCairnDigest", "CZlib", "Foundation"]),
        // Folders of files, never a tensor; the network is Foundation's.
        "CairnHub": platform.union(["CairnFormats", "Foundation", "FoundationNetworking"]),
        "CairnText": ["CairnTensor", "Dispatch", "Foundation"],
        "CairnModels": ["CairnTensor", "CairnGraph", "CairnFormats", "Foundation"],
        "CairnTraining": core.union(["Foundation"]),
        "Cairn": core.union(["CairnTraining", "CairnHub"]),
        "CairnCLI": ["Cairn", "Foundation"],
    ]

    /// What is wrong with the imports of one Swift file of `target`.
    static func violations(in source: String, target: String) -> [String] {
        guard let allowed = allowed[target] else {
            return ["\(target) has no row in the table of imports"]
        }
        return imports(in: source).compactMap { line in
            if !allowed.contains(line.module) { return "\(target) imports \(line.module)" }
            if line.module.hasPrefix("CC") && !line.words.contains("internal") {
                return "\(target) imports \(line.module) without 'internal'"
            }
            return nil
        }
    }

    /// The import lines of a file: what stands before `import`, and the module.
    static func imports(in source: String) -> [(words: [String], module: String)] {
        let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        return withoutTextBlocks(withoutComments(source)).split { $0 == "\n" || $0 == ";" }
            .compactMap { line in
                let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
                guard let place = words.firstIndex(of: "import"),
                    words[..<place].allSatisfy(isBeforeImport),
                    let name = words[(place + 1)...].first(where: { !kinds.contains($0) })
                else { return nil }
                return (Array(words[..<place]), String(name.prefix { $0 != "." }))
            }
    }

    /// The source without its multi-line string literals, which may quote other languages.
    private static func withoutTextBlocks(_ source: String) -> String {
        source.components(separatedBy: "\"\"\"").enumerated().filter { $0.offset % 2 == 0 }
            .map(\.element).joined()
    }

    private static func isBeforeImport(_ word: String) -> Bool {
        word.hasPrefix("@")
            || ["public", "package", "internal", "fileprivate", "private"].contains(word)
    }

    // MARK: C

    /// What a kernel library leaves to its caller: output, the process, the environment, files.
    static let bannedCalls: Set<String> = [
        "printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs", "putchar", "fwrite", "perror",
        "exit", "_exit", "_Exit", "quick_exit", "abort", "getenv", "setenv", "fopen", "freopen",
        "open",
    ]

    /// The banned functions that a C file calls.
    static func bannedCalls(in source: String) -> [String] {
        let text = Array(withoutComments(source).utf8)
        func isName(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "_") || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
                || (byte >= 0x30 && byte <= 0x39)
        }
        var found: [String] = []
        var place = 0
        while place < text.count {
            guard isName(text[place]) else {
                place += 1
                continue
            }
            let name = text[place...].prefix(while: isName)
            let next = text[name.endIndex...].first { $0 != 0x20 && $0 != 0x0A && $0 != 0x09 }
            let word = String(decoding: name, as: UTF8.self)
            if next == UInt8(ascii: "("), bannedCalls.contains(word) { found.append(word) }
            place = name.endIndex
        }
        return found
    }

    // MARK: Text

    /// The text with every comment replaced by a space; strings stay, and hide no comment sign.
    static func withoutComments(_ source: String) -> String {
        var result: [UInt8] = []
        var rest = Array(source.utf8)[...]
        while let byte = rest.first {
            let next = rest.dropFirst().first
            if byte == UInt8(ascii: "/") && next == UInt8(ascii: "/") {
                rest = rest.drop { $0 != 0x0A }
            } else if byte == UInt8(ascii: "/") && next == UInt8(ascii: "*") {
                rest = rest.dropFirst(2)
                while !rest.isEmpty && !rest.starts(with: "*/".utf8) { rest = rest.dropFirst() }
                rest = rest.dropFirst(2)
                result.append(0x20)
            } else if byte == UInt8(ascii: "\"") {
                let end = endOfString(rest)
                result += rest[..<end]
                rest = rest[end...]
            } else {
                result.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The place behind the string that `text` begins with; a line's end closes it at the latest.
    private static func endOfString(_ text: ArraySlice<UInt8>) -> Int {
        var place = text.startIndex + 1
        while place < text.endIndex, text[place] != UInt8(ascii: "\""), text[place] != 0x0A {
            place += text[place] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(place + 1, text.endIndex)
    }
}
