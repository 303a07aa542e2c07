// SPDX-License-Identifier: Apache-2.0
/// What a fine-tuning job is asked to do.

import CairnEngine
import CairnModels
import CairnText
import Foundation

/// The kinds of task that a corpus can be read for.
public enum Problem: String, Sendable, CaseIterable {
    case singleLabel = "single-label"
    case multiLabel = "multi-label"
    case regression

    var corpusTask: Corpus.Task {
        switch self {
        case .singleLabel: .classification
        case .multiLabel: .multiLabel
        case .regression: .regression
        }
    }
}

/// Files, model and settings of a fine-tuning job.
public struct FineTuneOptions: Sendable {
    public var model: URL
    public var data: URL
    public var output: URL
    public var evaluationData: URL?
    public var testData: URL?
    public var problem = Problem.singleLabel
    /// Checked against config.json.
    public var modelSize: ModelSize?
    public var method = Method.lora(AdapterConfiguration())
    public var settings = FineTuneSettings()
    public var policy = SavePolicy()
    public var maximumLength = 512
    /// Share of the rows taken for validation when no file and no split column names them.
    public var validationShare = 0.2
    public var threads = Context.defaultThreads
    public var isa = ISA.best
    public var device = Device.cpu
    /// The base's Hub id, for adapter_config.json and the model card.
    public var baseID: String?

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

    public let text: String
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
