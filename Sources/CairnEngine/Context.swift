// SPDX-License-Identifier: Apache-2.0
/// The engine as an object: one device, one instruction set, worker threads, scratch memory.

internal import CCairn

/// Runs operations on a device.
///
/// A context runs one operation at a time: calls from several threads take turns. Operations of
/// different contexts run side by side. Results depend neither on `isa` nor on `threads`.
public final class Context: @unchecked Sendable {
    // Unchecked: the handle is only used under the lock, and everything else is constant.
    /// The instruction set of its kernels.
    public let isa: ISA
    /// How many threads work on a kernel, the caller's own included.
    public let threads: Int
    /// Where kernels run.
    public let device: Device

    private let handle: OpaquePointer
    private let backend: cairn_backend
    private let lock = Lock()

    /// The most threads that a context takes.
    public static let maximumThreads = 1024

    /// As many threads as the machine has processors.
    public static var defaultThreads: Int { min(activeProcessorCount(), maximumThreads) }

    /// Starts `threads - 1` workers; the caller's thread is the other one.
    ///
    /// - Throws: `unsupportedISA`, `invalidThreads` unless `threads` is in 1...1024,
    ///   `outOfMemory`, `threadsRefused`.
    public init(
        isa: ISA = .best, threads: Int = Context.defaultThreads, device: Device = .cpu
    ) throws(KernelError) {
        guard (1...Self.maximumThreads).contains(threads) else { throw .invalidThreads(threads) }
        var created: OpaquePointer?
        switch cairn_context_create(isa.native, threads, &created) {
        case .ok: break
        case .unsupportedISA: throw .unsupportedISA(isa, supported: ISA.supported)
        case .outOfMemory: throw .outOfMemory(operation: "Context", bytes: nil)
        case .threadFailed: throw .threadsRefused(threads)
        case .invalidArgument:
            preconditionFailure(
                "cairn_context_create refused \(threads) threads, expected 1...1024")
        }
        guard let created else {
            preconditionFailure("cairn_context_create returned ok and no context")
        }
        handle = created
        self.isa = isa
        self.threads = threads
        self.device = device
        switch device {
        case .cpu: backend = cairn_backend_cpu
        }
    }

    deinit { cairn_context_destroy(handle) }

    /// Calls an entry of the backend that cannot fail.
    func withBackend<Result>(_ body: (cairn_backend, OpaquePointer) -> Result) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return body(backend, handle)
    }

    /// Calls an operation of the backend and maps its status.
    ///
    /// An argument that the facade has accepted and the kernel refuses is our own bug and traps,
    /// unless `data` can cause it.
    func run(
        _ operation: String, refuses data: Bool = false,
        _ body: (cairn_backend, OpaquePointer) -> cairn_status
    ) throws(KernelError) {
        lock.lock()
        let status = body(backend, handle)
        lock.unlock()
        switch status {
        case .ok: return
        case .outOfMemory: throw .outOfMemory(operation: operation, bytes: nil)
        case .invalidArgument where data: throw .invalidOperand(operation: operation)
        case .invalidArgument, .unsupportedISA, .threadFailed:
            preconditionFailure("\(operation) returned \(status) for operands the facade accepted")
        }
    }
}

/// Traps unless an operand has the size that its operation expects.
func require(
    _ actual: Int, _ expected: Int, _ operand: @autoclosure () -> String,
    _ operation: @autoclosure () -> String
) {
    precondition(
        actual == expected, "\(operation()): \(operand()) is \(actual), expected \(expected)")
}
