// SPDX-License-Identifier: Apache-2.0
/// A learner whose losses are its data: what a trainer does is seen without a model.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport

/// Takes numbers for losses; its one weight depends on every number in order.
final class ScriptedLearner: Learner {
    private(set) var step = 0
    var weight = 1.0
    private var gradient = 0.0
    private(set) var inputs: [Double] = []
    private(set) var loads: [URL] = []
    private(set) var saves: [(url: URL, metadata: JSONObject)] = []
    /// Thrown by the next call, once.
    var failure: (any Error)?
    var settings: [RunSetting: JSONValue] = [:]
    /// What a save returns in place of the path that it was given.
    var suffix = ""
    var holdsOptimizer = true

    func backward(_ inputs: [Double], shouldStop: () -> Bool) throws -> BatchScore? {
        if let failure {
            self.failure = nil
            throw failure
        }
        for index in inputs.indices where index > 0 { if shouldStop() { return nil } }
        gradient = inputs.reduce(0, +) / Double(inputs.count)
        self.inputs += inputs
        return BatchScore(loss: gradient, right: 1, judged: 2)
    }

    func update(learningRate: Double) -> Double {
        if gradient.isFinite { weight = weight * 0.75 + gradient * learningRate }
        step += 1
        return gradient
    }

    func score(_ input: Double) throws -> BatchScore {
        if let failure {
            self.failure = nil
            throw failure
        }
        return BatchScore(loss: input, right: 1, judged: 4)
    }

    var stateDigest: String { "\(weight.bitPattern)-\(step)" }

    static let extensions: Set<String> = ["bin", "npz", "safetensors", "fake"]

    func check(path: String) throws {
        let found = URL(fileURLWithPath: path).pathExtension
        guard Self.extensions.contains(found) else {
            throw TrainerError.path(path, reason: "'\(found)' is no format")
        }
    }

    func save(to url: URL, metadata: JSONObject) throws -> [URL] {
        let url = URL(fileURLWithPath: url.path + suffix)
        let json: JSONValue = .object([
            "weight": .integer(Int64(bitPattern: weight.bitPattern)), "step": .init(step),
            "optimizer": .bool(holdsOptimizer), "metadata": .object(metadata),
        ])
        try DurableFile.write(Data("fake ".utf8) + (try json.serialized()), to: url)
        saves.append((url, metadata))
        return [url]
    }

    func read(_ url: URL, withOptimizer: Bool) throws -> ReadCheckpoint {
        let data = try Data(contentsOf: url)
        let json = try JSONValue.parse(data.dropFirst(5), file: url.path)
        let bits = UInt64(bitPattern: Int64(json["weight"]!.integer!))
        return ReadCheckpoint(
            metadata: json["metadata"]!.object!, hasOptimizer: json["optimizer"]!.bool!
        ) { [self] in
            weight = Double(bitPattern: bits)
            if withOptimizer { step = json["step"]!.integer! }
            loads.append(url)
        }
    }
}

/// A trainer of a fresh scripted learner, with a folder for its files.
struct ScriptedRun {
    let learner = ScriptedLearner()
    let trainer: Trainer<Double>
    let folder: TemporaryDirectory

    init(in folder: TemporaryDirectory? = nil) throws {
        trainer = Trainer(learner, learningRate: .constant(0.5))
        self.folder = try folder ?? TemporaryDirectory()
    }

    func path(_ name: String) -> CheckpointPath { .template(folder.file(name).path) }

    func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: folder.file(name).path)
    }
}

/// One list of losses per epoch.
func perEpoch(_ losses: [[Double]]) -> Feed<Double> {
    Feed(Pipeline { (context: EpochContext) in losses[context.epoch] })
}

/// What a closure throws, as text.
func message(of body: () throws -> Void) -> String {
    do {
        try body()
        return "nothing was thrown"
    } catch {
        return "\(error)"
    }
}

/// A value that closures of a test write to.
final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}
