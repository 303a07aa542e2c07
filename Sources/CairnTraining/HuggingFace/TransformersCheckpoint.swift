// SPDX-License-Identifier: Apache-2.0
/// Reads a `checkpoint-N` of transformers' Trainer.

import CairnFormats
import CairnModels
import CairnTensor
import Foundation

/// A directory that the Trainer of transformers saved while it trained.
///
///     adapter_config.json, adapter_model.safetensors   or   model.safetensors
///     optimizer.pt     torch's AdamW, by numbers (`TorchParameterOrder` has the names)
///     scheduler.pt     where the learning rate stands
///     trainer_state.json
///     rng_state.pth, training_args.bin   objects of Python, which are not read
///
/// Pickles are read as data; see `TorchFile`. What the rest of a run would need and nobody but
/// torch could use is told by `notCarried`.
public struct TransformersCheckpoint: Sendable {
    /// Where it was read.
    public let directory: URL
    /// What `trainer_state.json` says.
    public let state: TransformersState
    /// Nil where the model was trained in full.
    public let adapter: PEFTAdapter?
    /// What trains, under the model's own names.
    public let parameters: [String: Tensor]
    /// Nil without scheduler.pt.
    public let scheduler: TorchScheduler?
    private let optimizer: TorchOptimizer?

    /// Whether a directory is one: it holds trainer_state.json.
    public static func isOne(_ directory: URL) -> Bool {
        holds(directory, TransformersState.fileName)
    }

    /// Reads everything; tensors are mapped.
    public init(contentsOf directory: URL) throws {
        self.directory = directory
        guard Self.isOne(directory) else {
            throw TrainingError.missingFile(
                directory: directory.path, name: TransformersState.fileName,
                purpose: "where a run of the Trainer stands")
        }
        func file(_ name: String) -> URL? {
            Self.holds(directory, name) ? directory.appendingPathComponent(name) : nil
        }
        state = try TransformersState(
            contentsOf: directory.appendingPathComponent(TransformersState.fileName))
        if file(PEFTAdapter.configurationFile) != nil {
            let adapter = try PEFTAdapter(contentsOf: directory)
            self.adapter = adapter
            parameters = adapter.tensors
        } else {
            adapter = nil
            let weights = try SafetensorsDirectory(contentsOf: directory)
            parameters = weights.names.reduce(into: [:]) { $0[$1] = weights.tensor(named: $1) }
        }
        optimizer = try file(TorchOptimizer.fileName).map(TorchOptimizer.init)
        scheduler = try file(TorchScheduler.fileName).map(TorchScheduler.init)
    }

    private static func holds(_ directory: URL, _ name: String) -> Bool {
        FileManager.default.fileExists(atPath: directory.appendingPathComponent(name).path)
    }

    // MARK: The place of the run

    /// Optimizer steps done.
    public var step: Int { state.globalStep }

    /// Nil before the first step, when no epoch has a length yet.
    public var stepsPerEpoch: Int? { state.stepsPerEpoch }

    /// Whole epochs done.
    public var epochsDone: Int { stepsPerEpoch.map { step / $0 } ?? 0 }

    /// Steps of the epoch that was being run.
    public var stepInEpoch: Int { stepsPerEpoch.map { step % $0 } ?? 0 }

    /// The schedules that fit every learning rate of the directory: see `TorchScheduler`.
    public var schedules: [Schedule] {
        scheduler?.schedules(totalSteps: state.maxSteps, history: state.steps) ?? []
    }

    // MARK: The state of a model

    /// Whether optimizer.pt is there: without it the moments begin at zero.
    public var hasOptimizer: Bool { optimizer != nil }

    /// What the optimizer remembers, by name; nil without optimizer.pt.
    ///
    /// - Throws: when its groups, numbers or shapes are not those of `model`, or when it has not
    ///   taken the steps that trainer_state.json says.
    public func optimizerState(for model: TaskModel) throws -> OptimizerState? {
        guard let optimizer else { return nil }
        let state = try optimizer.state(
            orders: TorchParameterOrder.candidates(for: model),
            dimensions: model.parameters.dimensions)
        guard state.step == step else {
            throw FormatError.entry(
                file: optimizer.file, entry: "state, step",
                expected: "\(step), as \(TransformersState.fileName) has it", found: "\(state.step)"
            )
        }
        return state
    }

    /// The groups in which the Trainer's optimizer moves the parameters of `model`: those with
    /// weight decay, and biases and norms without.
    public static func groups(for model: TaskModel, rule: UpdateRule) -> [ParameterGroup] {
        guard let order = TorchParameterOrder.candidates(for: model).first else { return [] }
        var groups: [ParameterGroup] = []
        if !order.decayed.isEmpty {
            groups.append(
                ParameterGroup(
                    "decay",
                    .matching("what the Trainer decays") { name, _ in
                        TorchParameterOrder.decays(name)
                    }, rule))
        }
        if !order.plain.isEmpty {
            groups.append(ParameterGroup("no_decay", .everything, rule.weightDecay(0)))
        }
        return groups
    }

    /// Puts the weights into a model made with the same settings.
    public func apply(to model: TaskModel) throws {
        if let adapter { return try adapter.apply(to: model) }
        let names = model.parameters.trainableNames
        let missing = names.filter { parameters[$0] == nil }
        guard missing.isEmpty else {
            throw ModelError.missingTensors(directory: directory.path, names: missing)
        }
        for name in names {
            let (expected, tensor) = (model.parameters.dimensions(of: name), parameters[name]!)
            guard tensor.shape.dimensions == expected else {
                throw ModelError.shapeMismatch(
                    file: directory.path, tensor: name, expected: expected,
                    found: tensor.shape.dimensions)
            }
            guard tensor.dtype.isWeight else {
                throw ModelError.dtypeUnsupported(
                    file: directory.path, tensor: name, found: tensor.dtype.rawValue)
            }
        }
        for name in names { model.parameters.set(name, to: parameters[name]!.floats()) }
    }

    // MARK: What stays behind

    /// What a run that goes on from here does otherwise than the Trainer would: sentences.
    public var notCarried: [String] {
        var sentences = [
            "The order of the rows is Cairn's from here on; torch's sampler is not continued."
        ]
        if adapter?.configuration.dropout ?? 1 > 0 {
            sentences.append("Dropout draws from Cairn's streams; torch's masks are not continued.")
        }
        if !hasOptimizer {
            sentences.append(
                "\(TorchOptimizer.fileName) is missing, so the optimizer's moments begin at zero.")
        }
        if scheduler == nil {
            sentences.append(
                "\(TorchScheduler.fileName) is missing, so the schedule must be given.")
        }
        if Self.holds(directory, "training_args.bin") {
            sentences.append(
                "training_args.bin is an object of Python and is not read: what it held beyond "
                    + "\(TransformersState.fileName) must be given, such as clipping and class weights."
            )
        }
        let callbacks = state.callbacks.keys.filter { $0 != "TrainerControl" }
        if !callbacks.isEmpty {
            sentences.append(
                "What these callbacks kept is not carried: \(callbacks.joined(separator: ", ")).")
        }
        if !state.unknownKeys.isEmpty {
            sentences.append(
                "These keys of \(TransformersState.fileName) are unknown and were not read: "
                    + state.unknownKeys.joined(separator: ", ") + ".")
        }
        if let warmup = schedules.map(\.warmupSteps).min(), warmup > step {
            sentences.append(
                "In the warm-up Cairn's rate is that of transformers one step later, so that the "
                    + "last step has the peak.")
        }
        return sentences
    }
}
