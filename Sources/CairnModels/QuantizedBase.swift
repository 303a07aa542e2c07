// SPDX-License-Identifier: Apache-2.0
/// A base whose linear layers are kept in 8 or 4 bits.

import CairnFormats
import CairnGraph
import CairnTensor
import Foundation

/// How the matrices of a base's linear layers are kept in memory.
public enum BaseStorage: String, Sendable, CaseIterable {
    /// As the files have them, and only mapped.
    case stored
    /// 8 bits with a scale per row; products are of integers, for x is rounded too.
    case int8
    /// 4 bits of NormalFloat with a scale per 64 elements, itself in 8 bits.
    case nf4

    /// Whether the matrices are other numbers than those in the files.
    public var isQuantized: Bool { self != .stored }

    var kind: CodeKind? {
        switch self {
        case .stored: nil
        case .int8: .int8
        case .nf4: .nf4
        }
    }
}

/// The matrices of a base's linear layers, rounded to 8 or 4 bits.
///
/// The layers are those that an adapter may target. Embeddings, norms, biases, a head, and with it
/// the output layer of a language model, stay as they are stored. Rounding is a function of the
/// stored numbers alone: the bits are the same on every machine.
public final class QuantizedBase {
    /// `int8` or `nf4`.
    public let storage: BaseStorage
    /// SHA-256 over every matrix, in order of the names: name, shape, codes and scales.
    public let digest: String
    /// Bytes in memory.
    public let byteCount: Int
    let weights: [String: CodedMatrix]

    /// Rounds the matrices one after the other; of the files no more than one stays in memory.
    ///
    /// - Returns: nil for `stored`, which keeps the base as it is.
    /// - Throws: `ModelError.unsupported` on a device that computes no codes; `badWeight` for a
    ///   number that is not finite, or rows too long for 8 bits; `KernelError` without memory.
    public init?(_ base: BaseModel, as storage: BaseStorage, for parameters: Parameters) throws {
        guard let kind = storage.kind else { return nil }
        if let device = parameters.deviceWithoutCodes {
            throw ModelError.storageUnsupported(storage: storage.rawValue, device: device)
        }
        self.storage = storage
        var weights: [String: CodedMatrix] = [:]
        var hash = SHA256()
        for name in base.model.linearLayers.map({ $0.name + ".weight" }).sorted() {
            guard let tensor = base.tensor(named: name) else {
                preconditionFailure("\(name) was checked to be in the files")
            }
            try Self.require(tensor, name, in: base)
            let weight = try parameters.coded(tensor, as: kind)
            guard weight.isFinite else {
                throw ModelError.badWeight(
                    file: base.file(of: name)?.path ?? base.directory.path, tensor: name,
                    expected: "finite numbers", found: "a NaN or an infinity")
            }
            hash.update(Data("\(name) \(tensor.shape.dimensions)\n".utf8))
            weight.withBytes { hash.update($0) }
            weights[name] = weight
            base.release(name)
        }
        self.weights = weights
        digest = hash.hex
        byteCount = weights.values.reduce(0) { $0 + $1.byteCount }
    }

    private static func require(
        _ tensor: Tensor, _ name: String, in base: BaseModel
    ) throws(ModelError) {
        let most = CodedMatrix.mostColumns
        guard tensor.shape.rank == 2, tensor.shape[1] <= most else {
            throw .badWeight(
                file: base.file(of: name)?.path ?? base.directory.path, tensor: name,
                expected: "a matrix of at most \(most) columns",
                found: "\(tensor.shape.dimensions)")
        }
    }

    /// The numbers that a matrix stands for; nil for one that is as stored.
    public func tensor(named name: String) throws -> Tensor? {
        guard let weight = weights[name] else { return nil }
        return Tensor(try weight.floats(), shape: [weight.rows, weight.columns])
    }
}
