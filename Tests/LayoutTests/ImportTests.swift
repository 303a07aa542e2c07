// SPDX-License-Identifier: Apache-2.0
/// The sources keep to the table of imports, and the search for offences finds some where planted.

import Foundation
import Testing

@Suite struct ImportTests {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The files below a folder with one of these endings.
    static func files(below folder: String, _ endings: String...) throws -> [URL] {
        let base = root.appendingPathComponent(folder)
        return try FileManager.default.subpathsOfDirectory(atPath: base.path).sorted()
            .filter { endings.contains(($0 as NSString).pathExtension) }
            .map { base.appendingPathComponent($0) }
    }

    static func text(_ url: URL) throws -> String {
        String(decoding: try Data(contentsOf: url), as: UTF8.self)
    }

    @Test func `every Swift file imports only what its target may`() throws {
        let files = try Self.files(below: "Sources", "swift")
        #expect(files.count >= ImportRules.allowed.count)
        let depth = Self.root.appendingPathComponent("Sources").pathComponents.count
        for file in files {
            let target = file.pathComponents[depth]
            #expect(
                ImportRules.violations(in: try Self.text(file), target: target) == [],
                "\(file.lastPathComponent)")
        }
    }

    @Test func `no test reaches inside by @testable`() throws {
        for file in try Self.files(below: "Tests", "swift") {
            let words = ImportRules.imports(in: try Self.text(file)).flatMap(\.words)
            #expect(!words.contains("@testable"), "\(file.lastPathComponent)")
        }
    }

    @Test func `C neither prints, nor exits, nor reads the environment, nor opens files`() throws {
        // The simulator of csrc/cuda and its tests are programs, not the library.
        let files = try Self.files(below: "csrc", "c", "h", "cu", "cuh").filter {
            !$0.path.contains("/csrc/cuda/test/") && !$0.path.contains("/csrc/cuda/sim/")
                && !$0.path.contains("/csrc/cuda/build/")
        }
        #expect(files.contains { $0.pathExtension == "cu" })
        for file in files {
            let calls = ImportRules.bannedCalls(in: try Self.text(file))
            #expect(calls == [], "\(file.lastPathComponent)")
        }
    }
}

@Suite struct ImportRulesTests {
    static let offences: [(String, String, String)] = [
        ("CairnTensor", "import Foundation", "CairnTensor imports Foundation"),
        ("CairnModels", "\timport CairnEngine", "CairnModels imports CairnEngine"),
        ("CairnGraph", "let a = 1; import Foundation", "CairnGraph imports Foundation"),
        ("CairnEngine", "import CCairn", "CairnEngine imports CCairn without 'internal'"),
        ("CairnEngine", "public import CCairn", "CairnEngine imports CCairn without 'internal'"),
        ("CairnModels", "internal import CCairn", "CairnModels imports CCairn"),
        ("CairnText", "@_exported import CairnFormats", "CairnText imports CairnFormats"),
        ("CairnTensor", "import struct Foundation.URL", "CairnTensor imports Foundation"),
        ("CairnTensor", "import Foundation.NSURL", "CairnTensor imports Foundation"),
        ("CairnTensor", "/* a */ import Foundation // b", "CairnTensor imports Foundation"),
        ("CairnFormats", "package import CairnModels", "CairnFormats imports CairnModels"),
        ("CairnCLI", "import CairnTraining", "CairnCLI imports CairnTraining"),
        ("CairnNew", "", "CairnNew has no row in the table of imports"),
    ]

    @Test(arguments: offences)
    func `an import that points up or out is found`(
        target: String, source: String, violation: String
    ) {
        #expect(ImportRules.violations(in: source, target: target) == [violation])
    }

    static let innocents: [(String, String)] = [
        ("CairnEngine", "internal import CCairn\npublic import CairnTensor"),
        ("CairnFormats", "#if canImport(Glibc)\n    import Glibc\n#endif\nimport Foundation"),
        ("CairnTensor", "// import Foundation\n/* import\nimport Foundation */\nlet important = 1"),
        ("CairnTensor", "let a = \"/*\"\nlet b = \"import Foundation\""),
        ("Cairn", "@_exported import CairnTensor"),
    ]

    @Test(arguments: innocents)
    func `what is allowed or is no import passes`(target: String, source: String) {
        #expect(ImportRules.violations(in: source, target: target) == [])
    }

    static let calls: [(String, [String])] = [
        ("printf(\"a\");", ["printf"]), ("if (x) exit (1);", ["exit"]),
        ("char *p = getenv\n(\"A\"); fopen(p, \"r\");", ["getenv", "fopen"]),
        ("// printf(1)\nsnprintf(b, 1, \"\"); cairn_open(x); int exit_code; fprintf_count(1);", []),
        ("/* abort() */ a.open = 1; \"/*\"; abort();", ["abort"]),
    ]

    @Test(arguments: calls)
    func `a banned call is found and its look-alikes are not`(source: String, calls: [String]) {
        #expect(ImportRules.bannedCalls(in: source) == calls)
    }
}
