// SPDX-License-Identifier: Apache-2.0
/// The run bundle of a fine-tuning run: one JSON file that says where the run stands.

import CairnFormats
import Foundation

extension RunBundle {
    /// The name of a run's bundle in its directory.
    public static let fileName = "run_bundle.json"

    /// Describes a run at a checkpoint, under the keys that bundles of trainers have.
    init(
        _ state: RunState, _ description: RunDescription, checkpoint: URL, in directory: URL
    ) throws {
        let settings = description.settings
        let manifest = checkpoint.appendingPathComponent(Manifest.fileName)
        let bytes = try Data(contentsOf: manifest)
        let metadata: JSONObject = [
            "epoch": JSONValue(state.epochs.count), "step": JSONValue(state.step),
            "monitor_name": .string(settings.monitor.rawValue),
            "best_metric": .optional(state.best?.value),
            "stale_epochs": JSONValue(state.staleEpochs), "next_epoch": JSONValue(state.epoch),
        ]
        try self.init(
            json: [
                "format": .string(Schema.v1.rawValue),
                "generated_at": .string(Date().formatted(.iso8601)),
                "trainer": [
                    "monitor_name": .string(settings.monitor.rawValue),
                    "epochs_target": JSONValue(settings.epochs),
                    "epochs_completed": JSONValue(state.epochs.count), "resume_from": .null,
                    "resumed_from_epoch": .null,
                ],
                "config": .object(settings.json()),
                "report": .object(state.json()),
                "checkpoint": [
                    "path": .string(RelativePath.from(directory, to: checkpoint)),
                    "epoch": JSONValue(state.epochs.count),
                    "monitor_name": .string(settings.monitor.rawValue),
                    "monitor_value": .optional(state.epochs.last.map { settings.monitor.value($0) }
                        .flatMap { $0.isFinite ? $0 : nil }),
                    "epoch_loss": .optional(state.epochs.last?.trainLoss),
                    "metadata": .object(metadata),
                    "files": [
                        [
                            "name": .string(RelativePath.from(directory, to: manifest)),
                            "size": JSONValue(bytes.count),
                            "sha256": .string(SHA256.hex(of: bytes)),
                        ]
                    ],
                ],
                "cairn_version": .string(CairnVersion.string),
            ], directory: directory)
    }

    /// Writes the bundle into its directory, in one step.
    func write() throws {
        try DurableFile.write(
            try JSONValue.object(json).serialized(),
            to: directory.appendingPathComponent(Self.fileName))
    }
}
