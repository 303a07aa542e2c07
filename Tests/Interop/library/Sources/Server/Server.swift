// SPDX-License-Identifier: Apache-2.0
/// Answers a text per line of standard input, many at a time.

import Cairn
import Foundation

@main struct Server {
    static func answer(_ text: String, _ predictor: BatchPredictor) async -> String {
        do {
            let prediction = try await predictor.predict(text)
            guard let label = prediction.labelIDs.first else { return "\(prediction.logits)" }
            return "\(predictor.task.labels[label])\t\(prediction.probabilities[label])"
        } catch {
            return "error\t\(error)"
        }
    }

    static func main() async throws {
        guard CommandLine.arguments.count == 2 else {
            print("usage: Server CHECKPOINT < TEXTS")
            exit(2)
        }
        let directory = URL(fileURLWithPath: CommandLine.arguments[1])
        let predictor = try BatchPredictor(directory, context: Context())
        await withDiscardingTaskGroup { requests in
            var number = 0
            while let text = readLine() {
                number += 1
                requests.addTask { [number] in
                    print("\(number)\t\(await answer(text, predictor))")
                }
            }
        }
    }
}
