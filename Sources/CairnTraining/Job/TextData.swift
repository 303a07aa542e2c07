// SPDX-License-Identifier: Apache-2.0
/// From corpora and a tokenizer to data sets.

import CairnFormats
import CairnText
import Foundation

/// The three parts of a job's rows, as text.
struct CorpusParts {
    let train: Corpus
    let validation: Corpus
    let test: Corpus?

    /// Reads the files. A split column decides where there is one: `--data` gives its rows for
    /// training (and for validation and test, where no other file does); without one, a stratified
    /// part of the rows is validated on.
    init(_ options: FineTuneOptions) throws {
        let task = options.problem.corpusTask
        let data = try Corpus(contentsOf: options.data, task: task)
        try Self.requireWholeSplits(data)
        var train = data.hasSplits ? data.examples(in: .train) : data
        var validation = try options.evaluationData.map {
            try Self.part(.validation, of: try Corpus(contentsOf: $0, task: task))
        }
        var test = try options.testData.map {
            try Self.part(.test, of: try Corpus(contentsOf: $0, task: task))
        }
        if data.hasSplits {
            if validation == nil, data.examples.contains(where: { $0.split == .validation }) {
                validation = data.examples(in: .validation)
            }
            if test == nil, data.examples.contains(where: { $0.split == .test }) {
                test = data.examples(in: .test)
            }
        }
        guard !train.examples.isEmpty else {
            throw TrainingError.emptyData(file: "\(data.file) (split 'train')")
        }
        if validation == nil {
            (train, validation) = try train.split(
                fraction: options.validationShare, seed: options.settings.seed)
        }
        self.train = train
        self.validation = validation!
        self.test = test
    }

    /// The rows of a file that are for one use: all of them, where it has no split column.
    static func part(_ split: Split, of corpus: Corpus) throws -> Corpus {
        try requireWholeSplits(corpus)
        guard corpus.examples.contains(where: { $0.split == split }) else {
            guard corpus.hasSplits else { return corpus }
            throw TrainingError.emptyData(file: "\(corpus.file) (split '\(split.rawValue)')")
        }
        return corpus.examples(in: split)
    }

    private static func requireWholeSplits(_ corpus: Corpus) throws {
        guard corpus.hasSplits, let row = corpus.examples.first(where: { $0.split == nil }) else {
            return
        }
        throw TrainingError.splitMissing(file: corpus.file, line: row.line)
    }
}

extension Task {
    /// The task that a corpus sets: its classes, unless `space` has them already, or how many
    /// numbers a row has.
    init(_ corpus: Corpus, space: inout LabelSpace?) throws {
        if corpus.task == .classification || corpus.task == .multiLabel {
            space = try space ?? LabelSpace(corpus)
        }
        switch corpus.task {
        case .classification:
            self = .singleLabel(labels: space!.names)
        case .multiLabel:
            self = .multiLabel(labels: space!.names)
        case .prediction: self = .causal
        case .regression:
            let width = try corpus.values().first?.count ?? 1
            self = .regression(names: (0..<width).map { "LABEL_\($0)" })
        }
    }

    /// How a corpus must be read for this task.
    var corpusTask: Corpus.Task {
        switch self {
        case .singleLabel: .classification
        case .multiLabel: .multiLabel
        case .regression: .regression
        case .causal: .prediction
        }
    }

    /// The targets of a corpus's rows.
    func targets(_ corpus: Corpus, space: LabelSpace?) throws -> Targets {
        switch self {
        case .causal: return .nextTokens
        case _ where corpus.task == .prediction: return .none
        case .singleLabel:
            return .classes(try space!.classIDs(for: corpus).map(Int32.init))
        case .multiLabel:
            let flags = try space!.flags(for: corpus)
            return .values(flags.joined().map { $0 ? 1 : 0 }, columns: labels.count)
        case .regression:
            let values = try corpus.values()
            guard let first = values.first, first.count == labels.count else {
                throw TrainingError.badTargets(
                    file: corpus.file, expected: labels.count, found: values.first?.count ?? 0)
            }
            return .values(values.joined().map { Float($0) }, columns: labels.count)
        }
    }
}

extension DataSet {
    /// Encodes a corpus; rows longer than `maximumLength` lose their ends, and are counted.
    static func encoded(
        _ corpus: Corpus, tokenizer: Tokenizer, maximumLength: Int, targets: Targets
    ) throws -> (data: DataSet, truncated: Int) {
        guard !corpus.examples.isEmpty else { throw TrainingError.emptyData(file: corpus.file) }
        let encoded = try tokenizer.encode(corpus, maxLength: maximumLength)
        return (
            DataSet(
                ids: encoded.rows.map(\.ids), typeIDs: encoded.rows.map(\.typeIDs),
                targets: targets), encoded.truncatedRows
        )
    }

    /// The rows that ask for a token: a language model predicts nothing from a row of one.
    var predictableRows: [Int] { ids.indices.filter { ids[$0].count > 1 } }

    /// Refuses token ids that the model's tables do not have.
    func requireVocabulary(_ size: Int, corpus: Corpus) throws {
        for (row, ids) in ids.enumerated() {
            if let id = ids.first(where: { $0 < 0 || $0 >= Int32(size) }) {
                throw TrainingError.tokenOutOfRange(
                    file: corpus.file, line: corpus.examples[row].line, id: Int(id),
                    vocabulary: size)
            }
        }
    }
}

/// Which token pads, as transformers would find it.
enum PadToken {
    /// config.json's `pad_token_id`; else the pad token, else the end-of-text token, that
    /// tokenizer_config.json names; else the end-of-text id of config.json.
    static func find(
        _ base: URL, configured: Int32?, config: JSONValue, tokenizer: Tokenizer
    ) throws -> Int32 {
        if let configured { return configured }
        let file = base.appendingPathComponent("tokenizer_config.json")
        if FileManager.default.fileExists(atPath: file.path) {
            let json = try JSONValue.parse(contentsOf: file)
            for key in ["pad_token", "eos_token"] {
                let token = json[key]?.string ?? json[key]?["content"]?.string
                if let id = token.flatMap({ tokenizer.id(of: $0) }) { return id }
            }
        }
        let end = config["eos_token_id"]
        if let id = end?.integer ?? end?.array?.first?.integer { return Int32(id) }
        throw TrainingError.noPadToken(directory: base.path)
    }
}
