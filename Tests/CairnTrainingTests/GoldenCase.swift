// SPDX-License-Identifier: Apache-2.0
/// A case of the float64 references: model, adapter, batch and what must come out.

import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation

/// The references of `Tests/Fixtures/make_golden.py`; `CAIRN_GOLDEN` names another run of it.
enum Golden {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["CAIRN_GOLDEN"] {
            return URL(fileURLWithPath: path)
        }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/golden")
    }()

    static func json(_ path: String) throws -> JSONValue {
        let url = directory.appendingPathComponent(path)
        return try JSONValue.parse(try Data(contentsOf: url), file: url.path)
    }

    static var cases: [String] {
        let list = try? json("manifest.json")["cases"]?.array?.compactMap(\.string)
        return list ?? []
    }
}

struct GoldenCase {
    let name: String
    let settings: JSONValue
    let base: BaseModel
    let adapter: PEFTAdapter
    let reference: SafetensorsFile
    private let batchFile: SafetensorsFile

    init(_ name: String) throws {
        self.name = name
        let directory = Golden.directory.appendingPathComponent("cases/\(name)")
        settings = try Golden.json("cases/\(name)/case.json")
        adapter = try PEFTAdapter(contentsOf: directory.appendingPathComponent("adapter_init"))
        let labels = settings["num_labels"]?.integer ?? 0
        base = try BaseModel(
            contentsOf: Golden.directory.appendingPathComponent(
                "models/\(settings["model"]!.string!)"),
            head: adapter.taskType == .causalLanguageModel
                ? .languageModel : .classification(labels: labels))
        reference = try SafetensorsFile(
            contentsOf: directory.appendingPathComponent("reference.safetensors"))
        batchFile = try SafetensorsFile(
            contentsOf: directory.appendingPathComponent("batch.safetensors"))
    }

    var isLanguageModel: Bool { adapter.taskType == .causalLanguageModel }

    func step3() throws -> PEFTAdapter {
        try PEFTAdapter(
            contentsOf: adapter.directory.deletingLastPathComponent()
                .appendingPathComponent("adapter_step3"))
    }

    func numbers(_ name: String) -> [Double] { reference.tensor(named: name)!.doubles() }
    func list(_ key: String) -> [Double] { settings[key]!.array!.map { $0.number! } }

    var loss: Loss {
        switch settings["problem_type"]?.string {
        case "multi_label_classification": .binaryCrossEntropy
        case "regression": .squaredError
        default: .crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100)
        }
    }

    /// The mask of real tokens, [rows, width].
    private var mask: (rows: Int, width: Int, real: [Bool]) {
        let tensor = batchFile.tensor(named: "attention_mask")!
        return (tensor.shape[0], tensor.shape[1], tensor.integers().map { $0 != 0 })
    }

    /// Flat positions of the real tokens in the padded batch.
    var realPositions: [Int] { mask.real.indices.filter { mask.real[$0] } }

    /// The rows with padding taken out, in gradient groups of the given sizes.
    func batch() -> Batch {
        let ids = batchFile.tensor(named: "input_ids")!.integers()
        let (rows, width, real) = mask
        var sequences: [[Int32]] = []
        var targets: [[Int]] = []
        let labels = batchFile.tensor(named: "labels")!
        for row in 0..<rows {
            let places = (row * width..<(row + 1) * width).filter { real[$0] }
            sequences.append(places.map { Int32(ids[$0]) })
            if isLanguageModel { targets.append(places.map { labels.integers()[$0] }) }
        }
        var batch = Batch(sequences: sequences)
        if let pad = base.configuration.padTokenID {
            for (row, sequence) in sequences.enumerated() {
                let last = sequence.lastIndex { $0 != pad } ?? 0
                batch.pooledRows[row] = batch.offsets[row] + UInt32(last)
            }
        }
        if base.configuration.family.isEncoder {
            batch.pooledRows = Array(batch.offsets.dropLast())
        }
        if isLanguageModel {
            for (row, labels) in targets.enumerated() {
                for (place, label) in labels.enumerated().dropFirst() where label != -100 {
                    batch.targetRows.append(batch.offsets[row] + UInt32(place) - 1)
                    batch.classTargets.append(Int32(label))
                }
                batch.targetOffsets[row + 1] = UInt32(batch.targetRows.count)
            }
            batch.lossScale = 1 / Float(batch.targetRows.count)
        } else if case .crossEntropy = loss {
            batch.classTargets = labels.integers().map(Int32.init)
            batch.lossScale = 1 / Float(rows)
        } else {
            batch.valueTargets = labels.floats()
            batch.lossScale = 1 / Float(batch.valueTargets.count)
        }
        return batch
    }
}
