// SPDX-License-Identifier: Apache-2.0
/// Digests of what a run was given, so that a resume can tell whether it is given the same.

import CairnFormats
import CairnModels
import Foundation

/// SHA-256 of every input that the trajectory depends on, by the key that `--allow` takes.
public struct InputDigests: Sendable, Equatable {
    /// `data`, `eval-data`, `test-data`, `tokenizer`, `base`; `coded-base` where the base's matrices are
    /// kept in codes, of these codes.
    public var values: [String: String]

    /// Reads the files of a job.
    init(_ options: FineTuneOptions, base: BaseModel, quantized: QuantizedBase?) throws {
        values = [
            "data": try SHA256.hex(ofFile: options.data),
            "tokenizer": try SHA256.hex(
                ofFile: options.model.appendingPathComponent("tokenizer.json")),
            "base": try Self.digest(of: base),
        ]
        values["coded-base"] = quantized?.digest
        if let file = options.evaluationData { values["eval-data"] = try SHA256.hex(ofFile: file) }
        if let file = options.testData { values["test-data"] = try SHA256.hex(ofFile: file) }
    }

    /// SHA-256 over the digests of config.json and of the weight files, in order of their names.
    static func digest(of base: BaseModel) throws -> String {
        let config = base.directory.appendingPathComponent("config.json")
        var hash = SHA256()
        for file in [config] + base.weightFiles {
            hash.update(Data((try SHA256.hex(ofFile: file) + "\n").utf8))
        }
        return hash.hex
    }

    var json: JSONValue {
        .object(JSONObject(values.sorted { $0.key < $1.key }.map { ($0, .string($1)) }))
    }

    init(_ reader: DocumentReader) throws {
        values = [:]
        for (key, _) in reader.object { values[key] = try reader.string(key) }
    }

    /// The keys whose digests differ, in order; an input that only one side has differs too.
    ///
    /// The test rows judge a run and do not steer it: they are not looked at.
    func differences(from other: InputDigests) -> [String] {
        Set(values.keys).union(other.values.keys).subtracting(["test-data"])
            .filter { values[$0] != other.values[$0] }.sorted()
    }
}
