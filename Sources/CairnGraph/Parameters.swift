// SPDX-License-Identifier: Apache-2.0
/// The tensors of a model on the device: frozen ones borrowed, trainable ones owned in fp32.

import CairnEngine
import CairnTensor

/// How a matrix is kept in fewer bits than it was stored in.
package typealias CodeKind = QuantizedKind
/// A matrix that was rounded to codes, for parameters of any context of the CPU.
package typealias CodedMatrix = QuantizedWeight

/// Parameters by name, shared by the programs of a model.
public final class Parameters {
    /// One parameter: a view of a mapped file, or fp32 numbers that training changes.
    package struct Entry {
        package let dtype: DType
        package let dimensions: [Int]
        package let buffer: Buffer
        package fileprivate(set) var isTrainable: Bool
    }

    package let context: Context
    package private(set) var entries: [String: Entry] = [:]

    /// No parameters yet, for programs that run on `context`.
    public init(context: Context) { self.context = context }

    /// Names of the parameters that train, sorted.
    public var trainableNames: [String] {
        entries.filter { $0.value.isTrainable }.keys.sorted()
    }

    /// Names of the parameters in memory of their own, sorted: all but those that are only read
    /// where the file has them.
    public var ownedNames: [String] {
        entries.filter { !$0.value.buffer.isBorrowed }.keys.sorted()
    }

    /// Names of all parameters, sorted.
    public var names: [String] { entries.keys.sorted() }

    /// Says whether a parameter trains; programs and optimizers made after this know it.
    ///
    /// - Precondition: what trains is in memory of its own.
    package func setTrainable(_ name: String, _ isTrainable: Bool) {
        precondition(
            !isTrainable || !entry(name).buffer.isBorrowed, "\(name) is only read where its file is"
        )
        entries[name]!.isTrainable = isTrainable
    }

    /// The shape of a parameter.
    public func dimensions(of name: String) -> [Int] { entry(name).dimensions }

    /// Adds a tensor that is only read; its bytes are borrowed where the device can.
    ///
    /// - Precondition: the type is fp32, bf16 or fp16.
    public func addFrozen(_ name: String, _ tensor: Tensor) throws(KernelError) {
        if tensor.shape.rank < 2 {
            // Vectors are small, and the epilogues read them in fp32.
            return try own(name, tensor, isTrainable: false)
        }
        entries[name] = Entry(
            dtype: tensor.dtype, dimensions: tensor.shape.dimensions,
            buffer: try Buffer(reading: tensor, context: context), isTrainable: false)
    }

    /// The device's name where it computes no matrices in codes; nil where it does.
    package var deviceWithoutCodes: String? {
        context.device == .cpu ? nil : "\(context.device)"
    }

    /// A matrix rounded to codes.
    ///
    /// - Precondition: the device computes them; `tensor` is a matrix of at most
    ///   `CodedMatrix.mostColumns` columns in F32, BF16 or F16.
    package func coded(_ tensor: Tensor, as kind: CodeKind) throws(KernelError) -> CodedMatrix {
        try CodedMatrix(tensor, as: kind, context: context)
    }

    /// Adds a matrix in 8 or 4 bits, which is only read, by linear layers.
    package func addFrozen(_ name: String, _ weight: CodedMatrix) {
        entries[name] = Entry(
            dtype: weight.kind.dtype, dimensions: [weight.rows, weight.columns],
            buffer: Buffer(weight), isTrainable: false)
    }

    /// Adds a tensor that trains: a copy of its numbers in fp32.
    public func addTrainable(_ name: String, _ tensor: Tensor) throws(KernelError) {
        try own(name, tensor, isTrainable: true)
    }

    private func own(_ name: String, _ tensor: Tensor, isTrainable: Bool) throws(KernelError) {
        let buffer = try Buffer(byteCount: tensor.elementCount * 4, context: context)
        entries[name] = Entry(
            dtype: .f32, dimensions: tensor.shape.dimensions, buffer: buffer,
            isTrainable: isTrainable)
        tensor.floats().withUnsafeBytes { buffer.copyIn(from: $0) }
    }

    /// The numbers of a parameter that trains, copied to the host.
    public func tensor(_ name: String) -> Tensor {
        let entry = entry(name)
        precondition(entry.dtype == .f32, "\(name) is \(entry.dtype.rawValue), not F32")
        return Tensor(Shape(entry.dimensions)) { entry.buffer.copyOut(to: $0) }
    }

    /// Replaces the numbers of a parameter that trains.
    public func set(_ name: String, to numbers: [Float]) {
        let entry = entry(name)
        precondition(entry.isTrainable, "\(name) is frozen")
        precondition(
            numbers.count == entry.dimensions.reduce(1, *),
            "\(name) is \(entry.dimensions), got \(numbers.count) numbers")
        numbers.withUnsafeBytes { entry.buffer.copyIn(from: $0) }
    }

    /// Replaces the numbers of a parameter in memory of its own, whether or not it trains, by
    /// those of a tensor of its shape.
    public func set(_ name: String, to tensor: Tensor) {
        let entry = entry(name)
        precondition(
            tensor.shape.dimensions == entry.dimensions,
            "\(name) is \(entry.dimensions), got \(tensor.shape)")
        if tensor.dtype == .f32 {
            tensor.withBytes { entry.buffer.copyIn(from: $0) }
        } else {
            tensor.floats().withUnsafeBytes { entry.buffer.copyIn(from: $0) }
        }
    }

    package func entry(_ name: String) -> Entry {
        guard let entry = entries[name] else {
            preconditionFailure("the graph reads '\(name)', which was never added")
        }
        return entry
    }

    /// The numbers of a parameter that trains, or of a vector, in place.
    package func floats(_ name: String) -> Floats {
        let entry = entry(name)
        return entry.buffer.floats(count: entry.dimensions.reduce(1, *))
    }
}
