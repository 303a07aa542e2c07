// SPDX-License-Identifier: Apache-2.0
/// What a fine-tuning job is asked to do.

import CairnEngine
import CairnModels
import CairnText
import Foundation

/// The kinds of task that a corpus can be read for.
public enum Problem: String, Sendable, CaseIterable {
    /// One of the labels per row.
    case singleLabel = "single-label"
    /// Any number of the labels per row.
    case multiLabel = "multi-label"
    /// Numbers per row.
    case regression
    /// The next token, on texts without labels.
    case causal

    var corpusTask: Corpus.Task {
        switch self {
        case .causal: .prediction
        case .singleLabel: .classification
        case .multiLabel: .multiLabel
        case .regression: .regression
        }
    }
}

/// Files, model and settings of a fine-tuning job.
public struct FineTuneOptions: Sendable {
    /// The base's directory.
    public var model: URL
    /// The corpus; a split column decides what its rows are for.
    public var data: URL
    /// The run's directory.
    public var output: URL
    /// Rows to choose the best epoch by; nil takes a part of the corpus.
    public var evaluationData: URL?
    /// Rows to judge the best epoch by.
    public var testData: URL?
    /// What the labels are.
    public var problem = Problem.singleLabel
    /// Checked against config.json.
    public var modelSize: ModelSize?
    /// Where the base's numbers come from; a random base trains in full.
    public var weights = BaseWeights.pretrained
    /// How the base's linear layers are kept in memory; anything but `stored` is for adapters, on
    /// the CPU.
    public var storage = BaseStorage.stored
    /// What trains.
    public var method = Method.lora(AdapterConfiguration())
    /// What the trajectory depends on.
    public var settings = FineTuneSettings()
    /// When checkpoints are made, and which stay.
    public var policy = SavePolicy()
    /// The longest row in tokens; longer texts lose their ends.
    public var maximumLength = 512
    /// Share of the rows taken for validation when no file and no split column names them.
    public var validationShare = 0.2
    /// Threads of a kernel; the result does not depend on them.
    public var threads = Context.defaultThreads
    /// The instruction set; the result does not depend on it.
    public var isa = ISA.best
    /// What the run computes on.
    public var device = Device.cpu
    /// The largest resident size that the run may have, in bytes, mapped weights included, or the
    /// largest part of a GPU's memory; nil leaves the first alone and takes all that is free of the
    /// second. No result depends on it.
    public var memory: Int?
    /// Whether what a frozen prefix gives is kept; no result depends on it.
    public var prefix = PrefixPolicy.auto
    /// The base's Hub id, for adapter_config.json and the model card.
    public var baseID: String?

    /// A job with everything else at its default.
    public init(model: URL, data: URL, output: URL) {
        self.model = model
        self.data = data
        self.output = output
    }
}

/// A model's size as users write it: a number with K, M or B, as 0.5B.
public struct ModelSize: Sendable, Equatable {
    /// Sizes in names are rounded: Qwen2.5-0.5B has 0.494 billion, MiniLM's 22M 22.7 million.
    static let tolerance = 1.25

    /// As it was written.
    public let text: String
    /// The number that it stands for.
    public let parameters: Double

    /// Nil unless the text is a positive number with K, M or B.
    public init?(_ text: String) {
        let units: [Character: Double] = ["K": 1e3, "M": 1e6, "B": 1e9]
        guard let unit = text.uppercased().last.flatMap({ units[$0] }),
            let number = Double(text.dropLast()), number > 0, number.isFinite
        else { return nil }
        self.text = text
        parameters = number * unit
    }

    func check(against count: Int, file: String) throws(ModelError) {
        let ratio = Double(count) / parameters
        guard ratio <= Self.tolerance, ratio >= 1 / Self.tolerance else {
            throw .sizeMismatch(file: file, size: text, parameters: count)
        }
    }
}
