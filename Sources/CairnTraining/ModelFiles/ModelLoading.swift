// SPDX-License-Identifier: Apache-2.0
/// `load`: everything is read and checked, then everything is applied, or nothing.

import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation

/// What a file held besides the numbers that a model took from it.
public struct LoadedPayload: Sendable {
    /// The file of the weights.
    public let url: URL
    /// How it is written.
    public let format: CheckpointFormat
    /// What stands beside the weights.
    public let metadata: JSONObject
    /// As stored; its groups are empty where the file does not say them. Nil when there is none.
    public let optimizer: OptimizerState?
    /// Parameters that the file lacks; they kept their numbers. Empty after a strict load.
    public let missing: [String]
    /// Tensors that the model lacks. Empty after a strict load.
    public let unexpected: [String]
    /// Hyper-parameters of the optimizer that were others when the file was written; the optimizer
    /// keeps its own.
    public let changes: [HyperparameterChange]
    /// What of the file was not used or could not be known, a sentence each.
    public let remarks: [String]
}

extension TrainableModel {
    /// Replaces the model's numbers by those of a file, and the optimizer's state if one is given.
    ///
    /// Everything is read and checked before anything is applied: a load succeeds, or leaves model
    /// and optimizer as they were. One error lists all that does not fit.
    ///
    /// Names, shapes and types must be those of `checkpointNames`, in every format; types are fp32.
    /// Checkpoints of mlx-ruby load, both forms; they do not say which optimizer wrote them, so
    /// that its slots alone tell whether they fit.
    ///
    /// - Parameters:
    ///   - url: the file; `ModelFilePath` has the rules for names.
    ///   - optimizer: nil leaves a stored state alone.
    ///   - strict: false lets names be missing or unexpected, which the payload then lists. Shapes,
    ///     types and the optimizer's state must fit all the same.
    ///   - format: nil for what the extension says; the content must be in it.
    ///   - optimizerMayBeAbsent: lets a file without a state leave the optimizer as it is.
    ///   - widensHalfPrecision: takes bf16 and fp16 tensors too, which fp32 holds exactly.
    /// - Precondition: the optimizer moves the parameters of this model.
    @discardableResult
    public func load(
        from url: URL, optimizer: Optimizer? = nil, strict: Bool = true,
        format: CheckpointFormat? = nil, optimizerMayBeAbsent: Bool = false,
        widensHalfPrecision: Bool = false
    ) throws -> LoadedPayload {
        let path = try ModelFilePath(loadingFrom: url, format: format)
        let load = try prepareLoad(
            of: ModelFileContent(contentsOf: path), from: path.url, optimizer: optimizer,
            strict: strict, optimizerMayBeAbsent: optimizerMayBeAbsent,
            widensHalfPrecision: widensHalfPrecision)
        load.apply()
        return LoadedPayload(
            url: path.url, format: path.format, metadata: load.content.metadata,
            optimizer: load.content.optimizer, missing: load.missing, unexpected: load.unexpected,
            changes: load.fit.map { optimizer!.changes(restoring: $0.state) } ?? [],
            remarks: load.content.remarks + (load.fit?.remarks ?? []))
    }

    /// Checks that all of a content fits; nothing is applied yet.
    ///
    /// - Parameter url: what errors call the content.
    func prepareLoad(
        of content: ModelFileContent, from url: URL, optimizer: Optimizer?, strict: Bool = true,
        optimizerMayBeAbsent: Bool = false, widensHalfPrecision: Bool = false
    ) throws(TrainingError) -> PreparedLoad {
        requireOwn(optimizer)
        let expected = checkpointNames
        let missing = expected.filter { content.tensors[$0] == nil }
        let known = Set(expected)
        let unexpected = content.tensors.keys.filter { !known.contains($0) }.sorted()

        var problems: [String] = []
        if strict {
            problems += missing.map { "'\($0)' is missing" }
            problems += unexpected.map { "'\($0)' is no parameter of the model" }
        }
        problems += misfits(content.tensors, expected, widensHalfPrecision)
        var fit: FittedState?
        if let optimizer {
            if let state = content.optimizer {
                fit = FittedState(state, for: optimizer)
                problems += optimizer.problems(restoring: fit!.state)
            } else if !optimizerMayBeAbsent {
                problems.append("it has no state for the optimizer")
            }
        }
        guard problems.isEmpty else { throw .doesNotFit(path: url.path, problems: problems) }
        return PreparedLoad(
            content: content, missing: missing, unexpected: unexpected, fit: fit,
            parameters: parameters, names: expected, optimizer: optimizer)
    }

    /// Tensors of another shape or type than their parameters.
    private func misfits(
        _ tensors: [String: Tensor], _ names: [String], _ widens: Bool
    ) -> [String] {
        names.compactMap { name in
            guard let tensor = tensors[name] else { return nil }
            let shape = Shape(parameters.dimensions(of: name))
            let isGoodType = tensor.dtype == .f32 || (widens && tensor.dtype.isWeight)
            guard tensor.shape == shape, isGoodType else {
                return
                    "'\(name)' is \(tensor.dtype.rawValue) \(tensor.shape), expected F32 \(shape)"
            }
            return nil
        }
    }
}

/// A content that fits a model, and its optimizer if there is one.
struct PreparedLoad {
    let content: ModelFileContent
    let missing: [String]
    let unexpected: [String]
    let fit: FittedState?
    let parameters: Parameters
    let names: [String]
    let optimizer: Optimizer?

    /// Replaces the numbers; cannot fail.
    func apply() {
        for name in names {
            if let tensor = content.tensors[name] { parameters.set(name, to: tensor) }
        }
        if let optimizer, let fit { optimizer.restore(fit.state) }
    }
}

/// A stored state in the terms of an optimizer.
struct FittedState {
    var state: OptimizerState
    var remarks: [String] = []

    /// Where the file does not say which rules its groups had, the optimizer's own are assumed.
    init(_ stored: OptimizerState, for optimizer: Optimizer) {
        state = stored
        guard stored.groups.isEmpty else { return }
        state.groups = optimizer.groupStates
        remarks.append("the file does not say which optimizer wrote it; its slots fit")
        // mlx-ruby keeps a velocity for every parameter, of zeros where there is no momentum.
        for (name, slots) in stored.slots
        where optimizer.group(of: name)?.rule.slotNames.isEmpty == true {
            if Array(slots.keys) == ["v"], slots["v"]!.floats().allSatisfy({ $0 == 0 }) {
                state.slots[name] = nil
            }
        }
    }
}
