// SPDX-License-Identifier: Apache-2.0
/// `cairn --version`: what this executable is made of.

import Cairn
import Foundation

enum BuildFacts {
    /// The newest compiler version that the compiler itself confirms.
    static let compiler: String = {
        #if compiler(>=6.5)
            "6.5 or newer"
        #elseif compiler(>=6.4)
            "6.4"
        #elseif compiler(>=6.3.3)
            "6.3.3"
        #elseif compiler(>=6.3.2)
            "6.3.2"
        #elseif compiler(>=6.3.1)
            "6.3.1"
        #elseif compiler(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }()

    static let architecture: String = {
        #if arch(x86_64)
            "x86_64"
        #elseif arch(arm64)
            "arm64"
        #else
            "another"
        #endif
    }()

    static let system: String = {
        #if os(Linux)
            "linux"
        #elseif os(macOS)
            "macos"
        #else
            "another"
        #endif
    }()

    static let configuration: String = {
        #if DEBUG
            "debug"
        #else
            "release"
        #endif
    }()

    /// Engines beside the processor's, and whether this build has them.
    static let engines: [(name: String, isBuiltIn: Bool)] = {
        #if CAIRN_CUDA
            let cuda = true
        #else
            let cuda = false
        #endif
        #if CAIRN_MPI
            let mpi = true
        #else
            let mpi = false
        #endif
        return [("cuda", cuda), ("mpi", mpi)]
    }()

    /// Prints the facts; `--json` as one document.
    static func show(_ arguments: [String]) throws {
        if let word = arguments.first(where: { $0 != "--json" }) {
            throw UsageError(
                "--version goes alone or with --json, found '\(word)'"
                    + Spelling.suggestion(for: word, among: ["--json"]))
        }
        arguments.isEmpty ? print(text) : try document.printed()
    }

    private static var text: String {
        let sets = ISA.supported.map(\.rawValue).joined(separator: ", ")
        let engines = engines.map { "\($0.name) \($0.isBuiltIn ? "built in" : "not built in")" }
        return """
            cairn \(CairnVersion.string)
            numerics \(CairnVersion.numerics)
            Swift \(compiler), \(configuration) build, \(system) \(architecture)
            instruction sets here: \(sets); used: \(ISA.best.rawValue)
            \(engines.joined(separator: ", "))
            """
    }

    private static var document: JSONValue {
        [
            "version": .string(CairnVersion.string), "numerics": .integer(CairnVersion.numerics),
            "swift_compiler": .string(compiler), "architecture": .string(architecture),
            "system": .string(system),
            "instruction_sets": .array(ISA.supported.map { .string($0.rawValue) }),
            "instruction_set": .string(ISA.best.rawValue), "build": .string(configuration),
            "engines": .object(JSONObject(engines.map { ($0.name, .bool($0.isBuiltIn)) })),
        ]
    }
}
