// SPDX-License-Identifier: Apache-2.0
/// Trains a small network with a loss written as a closure.

import Cairn
import Foundation

@main struct OwnModel {
    /// How often each of 512 buckets of words occurs in a text.
    static func features(_ text: String) -> [Float] {
        var counts = [Float](repeating: 0, count: 512)
        for word in text.lowercased().split(whereSeparator: { !$0.isLetter }) {
            let hash = word.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
            counts[Int(hash % 512)] += 1
        }
        return counts
    }

    static func main() throws {
        guard CommandLine.arguments.count == 3 else {
            print("usage: OwnModel DATA CHECKPOINT")
            exit(2)
        }
        let corpus = try Corpus(contentsOf: URL(fileURLWithPath: CommandLine.arguments[1]))
        let labels = try LabelSpace(corpus)
        func batches(_ split: Split, shuffled: Bool) -> Feed<Batch> {
            let rows = Pipeline(corpus.examples(in: split).examples)
            let order = shuffled ? rows.shuffle(seed: 1) : rows
            return Feed(order.batch(64)) { rows, _ in
                var batch = Batch(features: rows.flatMap { features($0.text) }, rows: rows.count)
                batch.classTargets = rows.map {
                    guard case .label(let name) = $0.target, let id = labels.id(of: name) else {
                        preconditionFailure("a corpus for classification has a label per row")
                    }
                    return Int32(id)
                }
                return batch
            }
        }

        let model = Sequential(inputs: 512) {
            Dense(64)
            Activate(.relu)
            Drop(0.2)
            Dense(labels.count)
        }
        let network = try Network(model, seed: 1, parameters: Parameters(context: Context()))
        // Cross-entropy, and a price on large logits, for each row.
        let loss = Objective.recorded(name: "cross-entropy + 0.001 |logits|²") { graph, logits in
            let entropy = graph.rowLosses(
                .crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits)
            let size = graph.sumOfColumns(graph.multiply(logits, logits))
            return graph.add(entropy, size, scale: 0.001)
        }
        let trainer = try Trainer(network, loss: loss, learningRate: .constant(3e-3), clip: 1)
        trainer.metrics = [.validationAccuracy]
        trainer.hooks.on(.afterEpoch) { end in
            print("epoch \(end.row.epoch): validation loss \(end.row.validationLoss ?? .nan)")
        }
        let report = try trainer.fitReport(
            batches(.train, shuffled: true), validation: batches(.validation, shuffled: false)
        ) {
            $0.epochs = 4
            $0.monitor = .validationLoss
            $0.checkpointPath = .template(CommandLine.arguments[2])
            $0.saveBest = true
        }
        print("\(report.status.rawValue) after \(report.steps) steps")
        print("validation accuracy \(report.epochs.last?.metrics["val_accuracy"] ?? .nan)")
    }
}
