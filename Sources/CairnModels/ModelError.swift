// SPDX-License-Identifier: Apache-2.0
/// Why a model directory cannot be used.

/// Every case names the file, the place in it, what was expected and what was found.
public enum ModelError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A model is a directory, and there is none.
    case noDirectory(path: String, found: String)
    /// A key that the function depends on is not there.
    case missingKey(file: String, key: String, expected: String)
    /// A key has a value that cannot be.
    case badValue(file: String, key: String, expected: String, found: String)
    /// A key has a value that changes the function in a way that is not computed.
    case unsupported(file: String, key: String, value: String, supported: String)
    /// An encoder was asked for the next token.
    case predictsNoNextToken(file: String, family: String)
    /// Tensors that the model needs are in no file.
    case missingTensors(directory: String, names: [String])
    /// Tensors that the model does not have.
    case unexpectedTensors(directory: String, names: [String])
    /// A tensor of another shape than the configuration asks for.
    case shapeMismatch(file: String, tensor: String, expected: [Int], found: [Int])
    /// A tensor of a type that weights cannot have.
    case dtypeUnsupported(file: String, tensor: String, found: String)
    /// A tensor whose numbers or shape cannot be rounded to codes.
    case badWeight(file: String, tensor: String, expected: String, found: String)
    /// A device that does not compute weights in codes.
    case storageUnsupported(storage: String, device: String)
    /// No linear layer has a name that the targets match.
    case noTargetMatches(targets: String, examples: [String])
    /// An adapter is asked for in a layer that the model does not have.
    case noLayer(Int, count: Int)
    /// The model is not of the size that the caller said.
    case sizeMismatch(file: String, size: String, parameters: Int)
    /// Labels other than those that were expected.
    case labelMismatch(file: String, expected: String, found: String)
    /// A random start was asked for in a directory that holds weights.
    case weightsPassedOver(directory: String, found: String)

    public var description: String {
        switch self {
        case .noDirectory(let path, let found):
            "\(path): expected a model directory with config.json, found \(found)"
        case .missingKey(let file, let key, let expected):
            "\(file): key '\(key)' is missing; expected \(expected)"
        case .badValue(let file, let key, let expected, let found):
            "\(file): key '\(key)' must be \(expected), found \(found)"
        case .unsupported(let file, let key, let value, let supported):
            "\(file): '\(key)' is \(value), which Cairn does not compute; supported: \(supported)"
        case .predictsNoNextToken(let file, let family):
            "\(file): 'model_type' is \(family), an encoder: each of its tokens sees those behind "
                + "it, so it predicts no next token; give --task causal a decoder ("
                + ModelFamily.allCases.filter { !$0.isEncoder }.map(\.rawValue)
                .joined(separator: ", ") + "), or use this model with --task classify"
        case .missingTensors(let directory, let names):
            "\(directory): \(Self.listed(names)) missing from the weight files"
        case .unexpectedTensors(let directory, let names):
            "\(directory): \(Self.listed(names)) in the weight files but not in the model that "
                + "config.json describes"
        case .shapeMismatch(let file, let tensor, let expected, let found):
            "\(file): tensor '\(tensor)' has shape \(found), its configuration makes it \(expected)"
        case .dtypeUnsupported(let file, let tensor, let found):
            "\(file): tensor '\(tensor)' is \(found); weights must be F32, BF16 or F16"
        case .badWeight(let file, let tensor, let expected, let found):
            "\(file): tensor '\(tensor)' must have \(expected) to be kept in fewer bits, found \(found)"
        case .storageUnsupported(let storage, let device):
            "--base \(storage) is computed on --device cpu, not on \(device)"
        case .noTargetMatches(let targets, let examples):
            "--target-modules \(targets) matches no linear layer; the model has "
                + examples.joined(separator: ", ")
        case .noLayer(let layer, let count):
            "an adapter in layer \(layer) was asked for; the model has the layers 0 to \(count - 1)"
        case .sizeMismatch(let file, let size, let parameters):
            "\(file): describes a model of \(parameters) parameters, which is not --model-size "
                + size
        case .labelMismatch(let file, let expected, let found):
            "\(file): expected labels \(expected), found \(found)"
        case .weightsPassedOver(let directory, let found):
            "\(directory): a random start needs a directory without weights, found \(found)"
        }
    }

    private static func listed(_ names: [String]) -> String {
        let shown = names.prefix(5).map { "'\($0)'" }.joined(separator: ", ")
        let more = names.count > 5 ? " and \(names.count - 5) more" : ""
        return (names.count == 1 ? "tensor " : "\(names.count) tensors, ") + shown + more
            + (names.count == 1 ? " is" : " are")
    }
}
