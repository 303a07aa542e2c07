// SPDX-License-Identifier: Apache-2.0
/// A small run whose checkpoints have receipts, and what tests do with them.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport

/// A run of two epochs with checkpoints of each, on few rows.
struct ReceiptRun {
    var golden: GoldenJob

    init(
        _ model: String = "qwen2", _ method: Int = 0, precision: Precision = .fp32,
        change: (inout FineTuneOptions) -> Void = { _ in }
    ) throws {
        golden = try GoldenJob(model, rows: 45)
        golden.options.method = FineTuneTests.methods[method].1
        golden.options.settings.epochs = 2
        golden.options.settings.precision = precision
        golden.options.policy.epochs = 1
        change(&golden.options)
        _ = try golden.job().run()
    }

    func checkpoint(_ name: String) -> URL {
        golden.options.output.appendingPathComponent(name)
    }

    /// A copy of a checkpoint's public files.
    func published(_ name: String = "epoch-2") throws -> URL {
        let place = golden.directory.file("published-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: checkpoint(name), to: place)
        for name in ["training", "model.apr", "metadata.json", "manifest.json"] {
            try FileManager.default.removeItem(at: place.appendingPathComponent(name))
        }
        return place
    }

    /// Judges a directory by the receipt and rows of a checkpoint.
    func check(_ directory: URL, by name: String = "epoch-2", isa: ISA = .best) throws
        -> ReceiptCheck
    {
        try ReceiptCheck(
            directory, receipt: Receipt(of: checkpoint(name)),
            texts: ReceiptText.rows(of: checkpoint(name)),
            context: try Context(isa: isa, threads: 1))
    }

    /// The sentence of what a check throws; nil when it passes.
    func refusal(_ directory: URL) -> String? {
        do {
            _ = try check(directory)
            return nil
        } catch { return "\(error)".replacingOccurrences(of: directory.path, with: "DIR") }
    }
}
