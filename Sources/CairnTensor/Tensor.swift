// SPDX-License-Identifier: Apache-2.0
/// Host data with a type and a shape: owned, or borrowed from a memory-mapped file.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Bytes that live as long as something refers to them.
///
/// `owner` keeps the memory alive: an allocation of this module, or a file mapping of another.
public final class TensorStorage: @unchecked Sendable {
    // Unchecked: the bytes are written only by `Tensor.withMutableBytes`, which needs the unique
    // reference; everyone else reads.
    /// The bytes, valid as long as this object lives.
    public let bytes: UnsafeMutableRawBufferPointer
    /// Whether they may be changed; a mapped file's may not.
    public let isWritable: Bool
    private let owner: AnyObject?

    /// Zeroed memory of this process, aligned to 64 bytes.
    public convenience init(byteCount: Int) {
        self.init(byteCount: byteCount) { bytes in
            bytes.initializeMemory(as: UInt8.self, repeating: 0)
        }
    }

    /// Memory of this process, aligned to 64 bytes, of which `fill` writes every byte.
    public init<Failure>(
        byteCount: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        bytes = UnsafeMutableRawBufferPointer(
            start: Self.memory(of: byteCount), count: byteCount)
        isWritable = true
        owner = nil
        try fill(bytes)
    }

    /// From ten huge pages on, whole ones: the first touch of many small pages takes the system
    /// longer than a copy takes.
    private static func memory(of byteCount: Int) -> UnsafeMutableRawPointer {
        let page = 2 << 20
        guard byteCount >= 10 * page else {
            return .allocate(byteCount: max(byteCount, 1), alignment: 64)
        }
        let size = (byteCount + page - 1) / page * page
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: page)
        #if os(Linux)
            _ = madvise(memory, size, MADV_HUGEPAGE)  // Refused, the pages are small ones.
        #endif
        return memory
    }

    /// Read-only bytes that stay valid while `owner` lives.
    public init(borrowing bytes: UnsafeRawBufferPointer, owner: AnyObject) {
        self.bytes = UnsafeMutableRawBufferPointer(mutating: bytes)
        self.owner = owner
        isWritable = false
    }

    deinit { if owner == nil { bytes.baseAddress?.deallocate() } }
}

/// A row-major array of numbers on the host.
///
/// A value: mutation copies when the bytes are shared or mapped from a file.
public struct Tensor: Sendable {
    /// How elements are stored.
    public let dtype: DType
    /// How they are arranged, row-major.
    public let shape: Shape
    private var storage: TensorStorage

    /// Zeros.
    public init(zeros shape: Shape, dtype: DType = .f32) {
        self.init(
            dtype: dtype, shape: shape,
            storage: TensorStorage(
                byteCount: Self.byteCount(dtype, shape)))
    }

    /// Memory of its own, of which `fill` writes every byte.
    public init<Failure>(
        _ shape: Shape, dtype: DType = .f32,
        filledBy fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        self.init(
            dtype: dtype, shape: shape,
            storage: try TensorStorage(
                byteCount: Self.byteCount(dtype, shape), filledBy: fill))
    }

    /// Wraps `storage`, whose size must be that of `shape` in `dtype`.
    public init(dtype: DType, shape: Shape, storage: TensorStorage) {
        let needed = Self.byteCount(dtype, shape)
        precondition(
            storage.bytes.count == needed,
            "\(shape) \(dtype.rawValue) needs \(needed) bytes, got \(storage.bytes.count)")
        self.dtype = dtype
        self.shape = shape
        self.storage = storage
    }

    /// A tensor of numbers at hand.
    ///
    /// - Precondition: as many as the shape holds.
    public init(_ values: [Float], shape: Shape) {
        self.init(elements: values, dtype: .f32, shape: shape)
    }

    /// A tensor of numbers at hand.
    ///
    /// - Precondition: as many as the shape holds.
    public init(_ values: [Double], shape: Shape) {
        self.init(elements: values, dtype: .f64, shape: shape)
    }

    /// A tensor of numbers at hand.
    ///
    /// - Precondition: as many as the shape holds.
    public init(_ values: [Int32], shape: Shape) {
        self.init(elements: values, dtype: .i32, shape: shape)
    }

    /// A tensor of numbers at hand.
    ///
    /// - Precondition: as many as the shape holds.
    public init(_ values: [Int64], shape: Shape) {
        self.init(elements: values, dtype: .i64, shape: shape)
    }

    private init<Element>(elements: [Element], dtype: DType, shape: Shape) {
        precondition(
            elements.count == shape.elementCount,
            "\(shape) has \(shape.elementCount) elements, got \(elements.count)")
        self.init(zeros: shape, dtype: dtype)
        elements.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    }

    /// How many elements the shape holds.
    public var elementCount: Int { shape.elementCount }
    /// Bytes of all elements.
    public var byteCount: Int { storage.bytes.count }

    /// The memory itself, for the engine, which borrows it as long as it holds the storage.
    package var backing: TensorStorage { storage }

    /// Gives the bytes, which are valid within `body` alone.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
        -> Result
    {
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeRawBufferPointer(storage.bytes))
    }

    /// Gives the bytes for changes; they are copied first where another tensor shares them.
    public mutating func withMutableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        if !storage.isWritable || !isKnownUniquelyReferenced(&storage) {
            let shared = UnsafeRawBufferPointer(storage.bytes)
            storage = TensorStorage(byteCount: shared.count) { $0.copyMemory(from: shared) }
        }
        defer { withExtendedLifetime(storage) {} }
        return try body(storage.bytes)
    }

    /// The elements as `Float`; integers beyond 2^24 round to nearest.
    ///
    /// - Precondition: the type is a float of 16, 32 or 64 bits, an integer, or a boolean.
    public func floats() -> [Float] {
        switch dtype {
        case .f32: load(Float.self) { $0 }
        case .f64: load(Double.self) { Float($0) }
        case .bf16: load(UInt16.self) { BFloat16(bitPattern: $0).float }
        case .f16: load(UInt16.self) { Half(bitPattern: $0).float }
        case .i64: load(Int64.self) { Float($0) }
        case .u64: load(UInt64.self) { Float($0) }
        case .i32: load(Int32.self) { Float($0) }
        case .u32: load(UInt32.self) { Float($0) }
        case .i16: load(Int16.self) { Float($0) }
        case .u16: load(UInt16.self) { Float($0) }
        case .i8: load(Int8.self) { Float($0) }
        case .u8, .bool: load(UInt8.self) { Float($0) }
        default: preconditionFailure("\(dtype.rawValue) has no conversion to Float")
        }
    }

    /// The elements as `Double`; exact for every float type.
    public func doubles() -> [Double] {
        dtype == .f64 ? load(Double.self) { $0 } : floats().map(Double.init)
    }

    /// The elements of an integer tensor.
    ///
    /// - Precondition: the type is a signed integer of 32 or 64 bits.
    public func integers() -> [Int] {
        switch dtype {
        case .i64: load(Int64.self) { Int($0) }
        case .i32: load(Int32.self) { Int($0) }
        default: preconditionFailure("\(dtype.rawValue) is not I32 or I64")
        }
    }

    private func load<Stored, Result>(_: Stored.Type, _ convert: (Stored) -> Result) -> [Result] {
        withBytes { bytes in
            (0..<elementCount).map {
                convert(
                    bytes.loadUnaligned(
                        fromByteOffset: $0 * MemoryLayout<Stored>.stride, as: Stored.self))
            }
        }
    }

    private static func byteCount(_ dtype: DType, _ shape: Shape) -> Int {
        guard let count = dtype.byteCount(elements: shape.elementCount) else {
            preconditionFailure("\(shape) \(dtype.rawValue) does not fill whole bytes")
        }
        return count
    }
}
