// SPDX-License-Identifier: Apache-2.0
/// How long training stands still for a save that is written beside it.

import Cairn
import CairnFormats
import CairnTraining
import Foundation

/// A state of 13 MB, saved to the medium after every step of a pretended run.
///
/// A step is work on one core for a fixed time, so that it and the writing meet as in a run; the
/// stall is what comes before the next step can begin: the wait for an earlier save that is still
/// under way, and the copy.
struct StallBench {
    private static let stepSeconds = 0.05

    private let folder: URL
    private let parameters: Parameters
    private let optimizer: Optimizer
    private let queue = SaveQueue()

    /// About 1.08 million parameters in fp32, and two moments of each.
    init(folder: URL, context: Context) throws {
        self.folder = folder
        let network = try Network(
            Sequential(inputs: 512) {
                Dense(1040)
                Activate(.gelu)
                Dense(512)
            }, seed: 1, parameters: Parameters(context: context))
        parameters = network.parameters
        optimizer = try Optimizer(parameters: parameters)
    }

    /// Bytes of the state.
    var byteCount: Int {
        3 * parameters.trainableNames.reduce(0) { $0 + parameters.tensor($1).byteCount }
    }

    /// Seconds that each of `rounds` steps waited.
    func run(rounds: Int) throws -> Samples {
        let target = folder.appendingPathComponent("stall")
        var state = RunState(runID: "bench")
        var samples = Samples()
        for _ in 0..<rounds {
            work()
            state.step += 1
            samples.add(
                Samples.time {
                    queue.wait()
                    let snapshot = RunSnapshot(parameters, optimizer: optimizer, state: state)
                    queue.start("stall", reason: "a step") {
                        try Self.write(snapshot, to: target)
                        return SaveResult()
                    }
                })
        }
        queue.wait()
        for case .failed(_, let reason) in queue.takeOutcomes() {
            throw FilesBench.WrongBytes(description: "stall: \(reason)")
        }
        if let problem = Manifest.check(target).problems.first {
            throw FilesBench.WrongBytes(description: "stall: \(problem)")
        }
        return samples
    }

    private func work() {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(Self.stepSeconds)
        var hash = SHA256()
        let bytes = [UInt8](repeating: 1, count: 1 << 16)
        while clock.now < end { hash.update(bytes) }
    }

    private static func write(_ snapshot: RunSnapshot, to target: URL) throws {
        let commit = try DirectoryCommit(target: target)
        try commit.add(name: "model.safetensors") { sink in
            try SafetensorsWriter.write(snapshot.parameters, to: &sink)
        }
        try commit.add(name: "optimizer.safetensors") { sink in
            let slots = snapshot.optimizer.slots.flatMap { name, slots in
                slots.map { ("\($0.key)/\(name)", $0.value) }
            }
            try SafetensorsWriter.write(Dictionary(uniqueKeysWithValues: slots), to: &sink)
        }
        let manifest = Manifest(runID: "bench", name: "stall", parent: nil, files: commit.added)
        try commit.add(name: Manifest.fileName, try manifest.serialized())
        try commit.commit()
    }
}
