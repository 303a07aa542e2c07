// SPDX-License-Identifier: Apache-2.0
/// What a run really took, in a file of its directory.

import CairnFormats
import Foundation

/// The costs of a run's last start, as `measured.json` has them.
struct MeasuredRun {
    static let fileName = "measured.json"

    var seconds = RunSeconds()
    var peakBytes = 0
    /// Steps that earlier starts had taken: above 0 after a resume.
    var firstStep = 0

    init() {}

    init(ofRun directory: URL) throws {
        let file = directory.appendingPathComponent(Self.fileName)
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw TrainingError.missingFile(
                directory: directory.path, name: Self.fileName,
                purpose: "what a run took, written when it ends")
        }
        let reader = try DocumentReader(try JSONValue.parse(contentsOf: file), file: file.path)
        peakBytes = try reader.count("peak_rss_bytes", atLeast: 1)
        firstStep = try reader.count("first_step")
        seconds = try RunSeconds(try reader.reader("seconds"))
    }

    func write(to directory: URL) throws {
        let json: JSONValue = [
            "peak_rss_bytes": JSONValue(peakBytes), "first_step": JSONValue(firstStep),
            "seconds": seconds.json,
        ]
        try DurableFile.write(
            try json.serialized(), to: directory.appendingPathComponent(Self.fileName))
    }
}
