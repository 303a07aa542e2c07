// SPDX-License-Identifier: Apache-2.0
/// Writes a directory from which transformers' Trainer goes on.

import CairnFormats
import CairnModels
import CairnTensor
import Foundation

/// A `checkpoint-N` for `Trainer.train(resume_from_checkpoint=...)`.
///
/// The files are those of `TransformersCheckpoint`, without rng_state.pth and training_args.bin, which
/// the Trainer does not need; config.json only with a model trained in full, since beside an
/// adapter transformers would take it for a base.
///
/// The Trainer continues with the settings of its own arguments: batch size, schedule and epochs
/// must be given there as they were here.
public enum TransformersCheckpointWriter {
    /// The weights of a run, and the facts that the files state.
    public struct Content: Sendable {
        /// What trains, under the model's own names.
        public var parameters: [String: Tensor]
        /// The moments.
        public var optimizer: OptimizerState
        /// The learning rate's course.
        public var schedule: Schedule
        /// History and counters.
        public var state: TransformersState
        /// What `base_model_name_or_path` says.
        public var base: String
        /// What `task_type` of an adapter says.
        public var taskType: TaskType
        /// The document of config.json, for a model trained in full.
        public var configuration: JSONValue?
        /// Which transformers will go on. It matters for RoBERTa trained in full alone: torch does
        /// not compare the shapes of moments with those of parameters, and the other generation
        /// would take those of another parameter, or crash.
        public var generation = TransformersGeneration.five

        /// The content of a checkpoint.
        public init(
            parameters: [String: Tensor], optimizer: OptimizerState, schedule: Schedule,
            state: TransformersState, base: String, taskType: TaskType = .sequenceClassification,
            configuration: JSONValue? = nil
        ) {
            self.parameters = parameters
            self.optimizer = optimizer
            self.schedule = schedule
            self.state = state
            self.base = base
            self.taskType = taskType
            self.configuration = configuration
        }
    }

    /// Writes the directory in one step, in place of an earlier one.
    ///
    /// - Throws: `TrainingError.notForTrainer` for an optimizer that torch's AdamW cannot go on
    ///   from and `nonFiniteWeights`, before anything is touched; `FormatError` when a file cannot
    ///   be written.
    /// - Precondition: the parameters and slots are those that train in `model`, and the state's
    ///   step is that of the optimizer.
    public static func write(
        _ content: Content, of model: TaskModel, to directory: URL
    ) throws {
        precondition(
            content.state.globalStep == Int(content.optimizer.step),
            "the state is after \(content.state.globalStep) steps, the optimizer after "
                + "\(content.optimizer.step)")
        precondition(
            Set(content.parameters.keys) == Set(model.parameters.trainableNames),
            "the parameters are not those that train")
        try FiniteWeights.require(content.parameters)
        let step = content.state.globalStep
        let peak = content.schedule.peak
        let rate = content.schedule.learningRate(at: step)
        let order = TorchParameterOrder(for: model, content.generation)
        let optimizer = try TorchOptimizer.value(
            of: content.optimizer, order: order, learningRate: rate, peak: peak)
        let scheduler = TorchScheduler(
            baseRates: [peak, peak], lastRates: [rate, rate], step: step)
        let state = try content.state.serialized()

        let commit = try DirectoryCommit(target: directory)
        try addWeights(content, of: model, to: commit)
        for (name, value) in [
            (TorchOptimizer.fileName, optimizer), (TorchScheduler.fileName, scheduler.value),
        ] {
            try commit.add(name: name) { sink in
                try TorchWriter.write(value, name: String(name.dropLast(3)), to: &sink)
            }
        }
        try commit.add(name: TransformersState.fileName, state)
        try commit.commit()
    }

    private static func addWeights(
        _ content: Content, of model: TaskModel, to commit: DirectoryCommit
    ) throws {
        guard let adapter = model.adapter else {
            try commit.add(name: "model.safetensors") { sink in
                try SafetensorsWriter.write(content.parameters, to: &sink)
            }
            if let configuration = content.configuration {
                try commit.add(name: "config.json", try configuration.serialized())
            }
            return
        }
        let configuration = PEFTAdapter.configurationJSON(
            adapter, model: model.base.model, taskType: content.taskType, base: content.base)
        try commit.add(name: PEFTAdapter.configurationFile, try configuration.serialized())
        let tensors = content.parameters.map { (PEFTAdapter.prefix + $0.key, $0.value) }
        try commit.add(name: PEFTAdapter.weightsFile) { sink in
            try SafetensorsWriter.write(Dictionary(uniqueKeysWithValues: tensors), to: &sink)
        }
    }
}
