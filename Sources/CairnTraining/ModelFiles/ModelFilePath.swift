// SPDX-License-Identifier: Apache-2.0
/// Where a model's file is and in which format, found out before anything is computed.

import CairnFormats
import Foundation

/// The formats that `TrainableModel.save` and `load` know.
public typealias CheckpointFormat = TensorFormat

/// The path of a model's file and its format.
///
/// A format given by name decides; else the last extension does, whatever its case:
///
/// | word | format | file |
/// |---|---|---|
/// | `marshal`, `bin`, `legacy`, `dsl_v1`, or none | Ruby Marshal | exactly the path |
/// | `npz` | npz and a sidecar | the path, with `.npz` added where it has another extension |
/// | `safetensors` | safetensors and a sidecar | as npz |
/// | `apr` | APR v2 | as npz |
///
/// Any other extension is an error; so is that of `ep-0-1.5`, where `.5` was meant as a number.
/// Templates of paths are checked with it before training starts.
public struct ModelFilePath: Sendable, Equatable {
    /// The file of the weights.
    public let url: URL
    /// How it is written.
    public let format: CheckpointFormat

    /// The file that a save to `url` would write; nothing is touched.
    public init(savingTo url: URL, format: CheckpointFormat? = nil) throws(TrainingError) {
        guard !url.lastPathComponent.isEmpty, url.path != "/" else {
            throw .badFormat(path: url.path, found: "no name")
        }
        guard let format = format ?? Self.format(ofExtension: url) else {
            throw .badFormat(path: url.path, found: "extension '.\(url.pathExtension)'")
        }
        self.format = format
        self.url = Self.completed(url, format)
    }

    /// The file that a load from `url` reads; its content must be in the format that its name, or
    /// `format`, says.
    ///
    /// A path whose extension names no format may mean itself or, with an extension more, a file
    /// of npz, safetensors or APR: exactly one of them must exist.
    public init(loadingFrom url: URL, format: CheckpointFormat? = nil) throws {
        let named = url.pathExtension.isEmpty ? nil : Self.format(ofExtension: url)
        if let expected = format ?? named {
            self.url = format == nil ? url : Self.completed(url, expected)
        } else {
            self.url = try Self.onlyCandidate(url)
        }
        let expected = format ?? Self.format(ofExtension: self.url)
        let content = try Self.content(of: self.url)
        guard let content, content == expected || (expected == nil && format == nil) else {
            throw FormatError.entry(
                file: self.url.path, entry: "format",
                expected: expected.map { "\($0.rawValue), as its name or the caller says" }
                    ?? CheckpointFormat.allCases.map(\.rawValue).joined(separator: ", "),
                found: content.map { "\($0.rawValue) by its first bytes" }
                    ?? "a file that begins like none of them")
        }
        self.format = content
    }

    /// The companion that holds metadata and optimizer; nil where the file itself does.
    public var sidecar: URL? {
        switch format {
        case .npz, .safetensors: MLXRubyCheckpoint.sidecarURL(ofWeights: url)
        case .marshal, .apr: nil
        }
    }

    // MARK: Rules

    private static let marshalWords = ["", "marshal", "bin", "legacy", "dsl_v1"]

    /// Nil for an extension that names no format.
    private static func format(ofExtension url: URL) -> CheckpointFormat? {
        let word = url.pathExtension.lowercased()
        return marshalWords.contains(word) ? .marshal : CheckpointFormat(rawValue: word)
    }

    private static func completed(_ url: URL, _ format: CheckpointFormat) -> URL {
        let word = format.rawValue
        return format == .marshal || url.pathExtension.lowercased() == word
            ? url : url.appendingPathExtension(word)
    }

    private static func onlyCandidate(_ url: URL) throws(TrainingError) -> URL {
        let candidates =
            [url]
            + [.npz, .safetensors, .apr].map { (format: CheckpointFormat) in
                url.appendingPathExtension(format.rawValue)
            }
        let found = candidates.filter { FileManager.default.fileExists(atPath: $0.path) }
        guard found.count < 2 else {
            throw .ambiguousFile(path: url.path, found: found.map(\.lastPathComponent))
        }
        guard let only = found.first else {
            throw .noModelFile(path: url.path, tried: candidates.map(\.lastPathComponent))
        }
        return only
    }

    /// Nil for content that begins like no format.
    private static func content(of url: URL) throws(FormatError) -> CheckpointFormat? {
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        return CheckpointFormat(beginningOf: file.bytes)
    }
}
