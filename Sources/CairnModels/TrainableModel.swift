// SPDX-License-Identifier: Apache-2.0
/// A model with its numbers: what trainers train and checkpoints hold.

import CairnGraph

/// A model whose parameters are on a device, and that records itself for training or prediction.
public protocol TrainableModel {
    /// The numbers on the device.
    var parameters: Parameters { get }

    /// What files of this model hold and what can train: names of parameters, sorted.
    var checkpointNames: [String] { get }

    /// Records the model: with everything that drops while training, or for prediction.
    func recorded(isTraining: Bool) -> (graph: Graph, logits: Value)
}

extension TrainableModel {
    /// Every parameter that is in memory of its own, whether or not it trains.
    public var checkpointNames: [String] { parameters.ownedNames }
}

extension TaskModel: TrainableModel {
    /// With LoRA the adapter's parameters and the head's, else all.
    public var checkpointNames: [String] {
        guard let adapter else { return parameters.ownedNames }
        let head = base.model.parameters.filter(\.isHead).map(\.name)
        return (head + adapter.parameters(of: base.model).map(\.name)).sorted()
    }
}

/// Any model of one's own, every parameter of it started from a seed and, until frozen, trained.
///
///     let network = try Network(mlp, seed: 1, parameters: Parameters(context: context))
public struct Network: TrainableModel {
    /// The function.
    public let model: any Model
    /// The numbers on the device.
    public let parameters: Parameters
    /// What they started from, and what dropout is drawn from.
    public let seed: UInt64

    /// Starts every parameter of `model` from `seed` and puts it into `parameters`.
    public init(_ model: some Model, seed: UInt64, parameters: Parameters) throws {
        self.model = model
        self.parameters = parameters
        self.seed = seed
        for specification in model.parameters {
            try parameters.addTrainable(
                specification.name, specification.initialTensor(seed: seed))
        }
    }

    public func recorded(isTraining: Bool) -> (graph: Graph, logits: Value) {
        var recorder = Recorder(
            training: .names(Set(parameters.trainableNames)), seed: seed, drops: isTraining)
        let logits = model.record(&recorder)
        return (recorder.graph, logits)
    }
}
