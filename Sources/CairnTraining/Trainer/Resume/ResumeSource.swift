// SPDX-License-Identifier: Apache-2.0
/// What a fit can take up from.

import CairnFormats
import Foundation

/// Where a resumed run begins.
///
/// Whatever names a checkpoint restores weights, optimizer and counters together, or nothing.
public indirect enum ResumeSource {
    /// A checkpoint of any format, a run bundle, or a run's directory, of which the newest
    /// checkpoint that verifies is taken. What it is shows in its content.
    case path(URL)
    /// A run bundle at hand, with the checkpoint that it names.
    case bundle(RunBundle)
    /// Counters, with or without a checkpoint.
    case payload(ResumePayload)
    /// Counters alone: the weights and the optimizer stay as they are.
    case countersOnly(ResumeSource)
    /// Weights alone: a new run from them, with a new optimizer and counters from zero.
    case weightsOnly(ResumeSource)
    /// What the closure gives; nil starts afresh. It may not give another closure.
    case loader((ResumeRequest) throws -> ResumeSource?)

    /// A path: a checkpoint, a directory of them, or a run bundle.
    public static func path(_ path: String) -> ResumeSource { .path(URL(fileURLWithPath: path)) }

    /// Counters given by hand.
    public static func metadata(_ metadata: JSONObject) -> ResumeSource {
        .payload(ResumePayload(metadata: metadata))
    }
}

/// What a loader is told.
public struct ResumeRequest: Sendable {
    /// What the fit calls its monitored value.
    public let monitorName: String
    /// The total that the fit aims at.
    public let epochs: Int
}

/// What a path turned out to hold.
enum PathContent {
    case missing
    case directory
    case bundle(RunBundle)
    case checkpoint

    /// Run bundles are small: a longer file is never parsed to find out.
    private static let longestBundle = 64 << 20

    /// Looks at the first bytes. Text that begins with `{` and has no zero byte among its first
    /// eight is JSON; a safetensors file, whose first eight bytes are a length, always has one.
    init(of url: URL) throws {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory) else {
            self = .missing
            return
        }
        if isDirectory.boolValue {
            self = .directory
            return
        }
        self = .checkpoint
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        let blanks: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]
        let head = file.bytes.prefix(8)
        guard file.bytes.prefix(64).first(where: { !blanks.contains($0) }) == UInt8(ascii: "{"),
            !head.contains(0)
        else { return }
        guard file.bytes.count <= Self.longestBundle else {
            throw TrainerError.resume(
                source: url.path,
                reason: "a JSON file of \(file.bytes.count) bytes is no run bundle")
        }
        let json = try JSONValue.parse(contentsOf: url, allowNonFinite: true)
        guard RunBundle.looksLike(json) else {
            throw TrainerError.resume(
                source: url.path,
                reason: "it is JSON, but no run bundle, which has 'checkpoint' and 'report'")
        }
        self = .bundle(try RunBundle(contentsOf: url))
    }
}
