// SPDX-License-Identifier: Apache-2.0
/// What several tests of this target need: scratch directories and hand-made files.

import CairnFormats
import Foundation
import TestSupport

/// A new directory under the system's temporary one, removed at the end of `body`.
func withScratchDirectory<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let url = ScratchPlace.url
        .appendingPathComponent("cairn-formats-\(UUID().uuidString)", isDirectory: true)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url)
}

/// A safetensors file of a header as given, and `dataCount` bytes 0, 1, 2, ...
func safetensorsBytes(_ header: String, dataCount: Int, headerLength: UInt64? = nil) -> [UInt8] {
    let text = Array(header.utf8)
    return withUnsafeBytes(of: (headerLength ?? UInt64(text.count)).littleEndian, Array.init)
        + text + (0..<dataCount).map { UInt8(truncatingIfNeeded: $0) }
}

/// Opens the bytes as a file; the error's sentence speaks of `FILE`.
func openSafetensors(_ bytes: [UInt8]) throws -> SafetensorsFile {
    try withScratchDirectory { directory in
        let url = directory.appendingPathComponent("x.safetensors")
        try Data(bytes).write(to: url)
        do {
            return try SafetensorsFile(contentsOf: url)
        } catch {
            throw Sentence("\(error)".replacingOccurrences(of: url.path, with: "FILE"))
        }
    }
}

/// An error's description, to compare with.
struct Sentence: Error, Equatable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func parse(_ text: String, allowNonFinite: Bool = false) throws(FormatError) -> JSONValue {
    try JSONValue.parse(Data(text.utf8), file: "t.json", allowNonFinite: allowNonFinite)
}

func text(_ value: JSONValue, pretty: Bool = false, sortedKeys: Bool = false) throws -> String {
    String(
        decoding: try value.serialized(pretty: pretty, sortedKeys: sortedKeys), as: UTF8.self)
}

/// A small seeded generator (SplitMix64), for inputs.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
