// SPDX-License-Identifier: Apache-2.0
/// Memory of a backend: allocated, or borrowed from a tensor without a copy.

internal import CCairn
package import CairnTensor

/// Memory that a context's operations read and write; freed with the last reference.
package final class Buffer {
    package let byteCount: Int
    package let context: Context

    /// A tensor's bytes that are only read: they may be a mapped file, or a device's copy of it.
    package let isBorrowed: Bool

    private let base: UnsafeMutableRawPointer
    private let ownsMemory: Bool
    private let borrowed: (storage: TensorStorage?, dtype: DType, shape: Shape)?
    private let quantized: QuantizedWeight?

    /// Allocates `byteCount` bytes aligned to 64; they are not cleared.
    package init(byteCount: Int, context: Context) throws(KernelError) {
        precondition(byteCount >= 0, "a buffer has at least 0 bytes, got \(byteCount)")
        guard let memory = context.withBackend({ $0.allocate($1, max(byteCount, 1)) }) else {
            throw context.outOfMemory("Buffer", bytes: byteCount)
        }
        base = memory
        self.byteCount = byteCount
        self.context = context
        borrowed = nil
        quantized = nil
        isBorrowed = false
        ownsMemory = true
    }

    /// A weight that is only read: borrowed where the device reads the host's memory, else a copy.
    ///
    /// - Precondition: as for `init(borrowing:context:)`.
    package convenience init(reading tensor: Tensor, context: Context) throws(KernelError) {
        guard context.device != .cpu else {
            self.init(borrowing: tensor, context: context)
            return
        }
        try self.init(copying: tensor, context: context)
    }

    private init(copying tensor: Tensor, context: Context) throws(KernelError) {
        precondition(
            tensor.dtype.isWeight, "a weight is F32, BF16 or F16, got \(tensor.dtype.rawValue)")
        let bytes = tensor.backing.bytes
        guard let memory = context.withBackend({ $0.allocate($1, max(bytes.count, 1)) }) else {
            throw context.outOfMemory("Buffer", bytes: bytes.count)
        }
        base = memory
        byteCount = bytes.count
        self.context = context
        // Shape and type alone: the host's bytes may be given back.
        borrowed = (nil, tensor.dtype, tensor.shape)
        quantized = nil
        isBorrowed = true
        ownsMemory = true
        if let source = bytes.baseAddress, bytes.count > 0 {
            context.withBackend { $0.copy_in($1, memory, source, bytes.count) }
        }
    }

    /// Uses the host memory of `tensor` in place, as on the CPU both are the same.
    ///
    /// - Precondition: the element type is F32, BF16 or F16, and the bytes are aligned to it.
    package init(borrowing tensor: Tensor, context: Context) {
        precondition(context.device == .cpu, "\(context.device) cannot borrow host memory")
        precondition(
            tensor.dtype.isWeight, "a weight is F32, BF16 or F16, got \(tensor.dtype.rawValue)")
        let bytes = tensor.backing.bytes
        // An empty tensor has no bytes that could be read; any aligned address does.
        base = bytes.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 64)!
        let alignment = tensor.dtype.bitWidth / 8
        precondition(
            Int(bitPattern: base) % alignment == 0,
            "a weight in \(tensor.dtype.rawValue) is aligned to \(alignment) bytes, got \(base)")
        byteCount = bytes.count
        self.context = context
        borrowed = (tensor.backing, tensor.dtype, tensor.shape)
        quantized = nil
        isBorrowed = true
        ownsMemory = false
    }

    /// The codes of a weight in 8 or 4 bits, which are only read, and as a weight only.
    package init(_ weight: QuantizedWeight) {
        base = UnsafeMutableRawPointer(mutating: weight.weight.base)
        byteCount = weight.byteCount
        context = weight.context
        borrowed = nil
        quantized = weight
        isBorrowed = true
        ownsMemory = false
    }

    deinit {
        if ownsMemory { context.withBackend { $0.release($1, base) } }
    }

    /// The borrowed tensor as a matrix: [first dimension, product of the others]; a vector [1, n].
    ///
    /// - Precondition: the buffer was made with `init(borrowing:)`, `init(reading:)`, or of codes.
    package var weight: Weight {
        if let quantized { return quantized.weight }
        guard let borrowed else {
            preconditionFailure("a buffer of \(byteCount) bytes has no shape")
        }
        let shape = borrowed.shape
        let rows = shape.rank < 2 ? 1 : shape[0]
        let columns = shape.dimensions.dropFirst(shape.rank < 2 ? 0 : 1).reduce(1, *)
        return Weight(base: base, dtype: borrowed.dtype, rows: rows, columns: columns)
    }

    /// `count` fp32 numbers; `offset` counts fp32 numbers from the start of the buffer.
    package func floats(offset: Int = 0, count: Int) -> Floats { view(offset, count) }

    /// `count` unsigned integers; `offset` counts them from the start of the buffer.
    package func words(offset: Int = 0, count: Int) -> Words { view(offset, count) }

    /// `count` signed integers; `offset` counts them from the start of the buffer.
    package func integers(offset: Int = 0, count: Int) -> Integers { view(offset, count) }

    /// `count` elements from the start of the buffer, of the type that the caller expects.
    package func array<Element: BitwiseCopyable>(count: Int) -> DeviceArray<Element> {
        view(0, count)
    }

    private func view<Element>(_ offset: Int, _ count: Int) -> DeviceArray<Element> {
        precondition(
            !isBorrowed, "a borrowed buffer of \(byteCount) bytes is only read, as a weight")
        let elements = byteCount / MemoryLayout<Element>.stride
        precondition(
            offset >= 0 && count >= 0 && offset <= elements && count <= elements - offset,
            "elements \(offset)..<\(offset + count) are outside of the buffer's 0..<\(elements)")
        return DeviceArray(
            base: base.assumingMemoryBound(to: Element.self) + offset, count: count)
    }

    /// Sets every byte to 0.
    package func zero() {
        precondition(!isBorrowed, "a borrowed buffer of \(byteCount) bytes cannot be cleared")
        context.withBackend { $0.zero($1, base, byteCount) }
    }

    /// Copies host bytes to the buffer, from byte `offset` on.
    package func copyIn(from host: UnsafeRawBufferPointer, at offset: Int = 0) {
        precondition(!isBorrowed, "a borrowed buffer of \(byteCount) bytes cannot be written")
        requireBytes(offset, host.count)
        guard let source = host.baseAddress, host.count > 0 else { return }
        context.withBackend { $0.copy_in($1, base + offset, source, host.count) }
    }

    /// Copies bytes of the buffer, from byte `offset` on, until `host` is full.
    package func copyOut(to host: UnsafeMutableRawBufferPointer, at offset: Int = 0) {
        precondition(quantized == nil, "codes of a weight are read as a weight only")
        requireBytes(offset, host.count)
        guard let destination = host.baseAddress, host.count > 0 else { return }
        context.withBackend { $0.copy_out($1, destination, base + offset, host.count) }
    }

    /// Hands out the bytes on the host: in place where the device's memory is the host's, else a
    /// copy.
    package func withHostBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        precondition(quantized == nil, "codes of a weight are read as a weight only")
        if context.device == .cpu {
            defer { withExtendedLifetime(self) {} }
            return try body(UnsafeRawBufferPointer(start: base, count: byteCount))
        }
        var copy = [UInt8](repeating: 0, count: byteCount)
        copy.withUnsafeMutableBytes { copyOut(to: $0) }
        return try copy.withUnsafeBytes(body)
    }

    private func requireBytes(_ offset: Int, _ count: Int) {
        precondition(
            offset >= 0 && offset <= byteCount && count <= byteCount - offset,
            "bytes \(offset)..<\(offset + count) are outside of the buffer's 0..<\(byteCount)")
    }
}

extension Context {
    /// Copies `values` to device memory of the same count.
    package func write<Element: BitwiseCopyable>(
        _ values: [Element], to array: DeviceArray<Element>
    ) {
        require(values.count, array.count, "count of values", "write")
        values.withUnsafeBytes { host in
            guard let source = host.baseAddress, host.count > 0 else { return }
            withBackend { $0.copy_in($1, array.base, source, host.count) }
        }
    }

    /// A copy of device memory on the host.
    package func read<Element: BitwiseCopyable>(_ array: DeviceArray<Element>) -> [Element] {
        [Element](unsafeUninitializedCapacity: array.count) { host, initialized in
            if let destination = host.baseAddress, array.count > 0 {
                let bytes = array.count * MemoryLayout<Element>.stride
                withBackend { $0.copy_out($1, destination, array.base, bytes) }
            }
            initialized = array.count
        }
    }

    /// Copies host memory to device memory of the same count.
    package func write(_ host: UnsafeBufferPointer<Float>, to array: Floats) {
        require(host.count, array.count, "count of values", "write")
        guard let source = host.baseAddress, host.count > 0 else { return }
        withBackend { $0.copy_in($1, array.base, source, 4 * host.count) }
    }

    /// Copies device memory to host memory of the same count.
    package func read(_ array: Floats, into host: UnsafeMutableBufferPointer<Float>) {
        require(host.count, array.count, "count of values", "read")
        guard let target = host.baseAddress, host.count > 0 else { return }
        withBackend { $0.copy_out($1, target, array.base, 4 * host.count) }
    }

    /// Hands out the bytes of device memory on the host: in place where it is the host's, else a copy.
    package func withHostBytes<Result>(
        of array: Floats, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        guard device == .cpu else { return try read(array).withUnsafeBytes(body) }
        return try body(UnsafeRawBufferPointer(start: array.base, count: 4 * array.count))
    }

    /// Sets every element to 0.
    package func zero<Element: BitwiseCopyable>(_ array: DeviceArray<Element>) {
        let bytes = array.count * MemoryLayout<Element>.stride
        if bytes > 0 { withBackend { $0.zero($1, array.base, bytes) } }
    }
}
