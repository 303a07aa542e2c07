// SPDX-License-Identifier: Apache-2.0
/// Choosing, freezing and counting the parameters of a model.

import CairnFormats
import CairnModels

extension TrainableModel {
    /// Names of the parameters that the selector chooses, sorted.
    public func parameterPaths(_ selector: ParameterSelector = .everything) -> [String] {
        parameters.names.filter {
            selector.matches($0, dimensions: parameters.dimensions(of: $0))
        }
    }

    /// Numbers in the model, trained or not.
    public var parameterCount: Int { count(parameters.names) }

    /// Numbers that train.
    public var trainableParameterCount: Int { count(parameters.trainableNames) }

    private func count(_ names: [String]) -> Int {
        names.reduce(0) { $0 + parameters.dimensions(of: $1).reduce(1, *) }
    }

    /// Keeps the chosen parameters as they are: no gradient is computed for them.
    ///
    ///     try model.freeze(.prefix("encoder."))
    ///
    /// Record programs and make optimizers after it, for they take what trains from the model. A
    /// file of the model holds frozen parameters too, but not which ones are.
    ///
    /// - Returns: the names, sorted.
    /// - Throws: `TrainingError.nothingSelected` when the selector chooses none of `checkpointNames`.
    @discardableResult
    public func freeze(_ selector: ParameterSelector) throws(TrainingError) -> [String] {
        try setTrainable(selector, false)
    }

    /// Lets the chosen parameters train; see `freeze`. What a base alone has never trains: it is
    /// read where its file is, and no file of the model holds it.
    @discardableResult
    public func unfreeze(_ selector: ParameterSelector) throws(TrainingError) -> [String] {
        try setTrainable(selector, true)
    }

    private func setTrainable(
        _ selector: ParameterSelector, _ isTrainable: Bool
    ) throws(TrainingError) -> [String] {
        let chosen = checkpointNames.filter {
            selector.matches($0, dimensions: parameters.dimensions(of: $0))
        }
        guard !chosen.isEmpty else {
            throw .nothingSelected(selector: "\(selector)", among: checkpointNames)
        }
        for name in chosen { parameters.setTrainable(name, isTrainable) }
        return chosen
    }

    /// What the model is made of.
    public var summary: ModelSummary {
        ModelSummary(
            modelClass: "\(Self.self)", totalParameters: parameterCount,
            trainableParameters: trainableParameterCount, parameterPaths: parameters.names)
    }
}

/// A model in numbers and names.
public struct ModelSummary: Sendable, Equatable, CustomStringConvertible {
    /// The model's type.
    public let modelClass: String
    /// Numbers, trained or not.
    public let totalParameters: Int
    /// Numbers that train.
    public let trainableParameters: Int
    /// Sorted.
    public let parameterPaths: [String]

    /// Numbers that stand still.
    public var frozenParameters: Int { totalParameters - trainableParameters }

    /// The summary as a document.
    public var json: JSONObject {
        [
            "model_class": .string(modelClass),
            "total_parameters": .integer(Int64(totalParameters)),
            "trainable_parameters": .integer(Int64(trainableParameters)),
            "frozen_parameters": .integer(Int64(frozenParameters)),
            "parameter_paths": .array(parameterPaths.map { .string($0) }),
        ]
    }

    /// A line `key=value` for every member of `json`.
    public var description: String {
        """
        model_class=\(modelClass)
        total_parameters=\(totalParameters)
        trainable_parameters=\(trainableParameters)
        frozen_parameters=\(frozenParameters)
        parameter_paths=\(parameterPaths.joined(separator: ","))
        """
    }
}
