// SPDX-License-Identifier: Apache-2.0
/// The engine as an object: one device, one instruction set, worker threads, scratch memory.

internal import CCairn

/// Runs operations on a device.
///
/// A context runs one operation at a time: calls from several threads take turns. Operations of
/// different contexts run side by side. Results depend neither on `isa` nor on `threads`; with
/// a GPU both only serve what remains on the host.
public final class Context: @unchecked Sendable {
    // Unchecked: the handle is only used under the lock, and everything else is constant.
    /// The instruction set of its kernels.
    public let isa: ISA
    /// How many threads work on a kernel, the caller's own included.
    public let threads: Int
    /// Where kernels run.
    public let device: Device

    private let engine: Engine
    private let lock = Lock()

    /// The most threads that a context takes.
    public static let maximumThreads = 1024

    /// As many threads as the machine has processors.
    public static var defaultThreads: Int { min(activeProcessorCount(), maximumThreads) }

    /// Starts `threads - 1` workers; the caller's thread is the other one.
    ///
    /// - Parameter deviceMemory: the bytes of a GPU that may be allocated, which must be free; nil is
    ///   all that are. The processor's memory has no such limit.
    /// - Throws: `unsupportedISA`, `invalidThreads` unless `threads` is in 1...1024,
    ///   `outOfMemory`, `threadsRefused`; `noDevice` and `deviceFailed` for a GPU.
    public init(
        isa: ISA = .best, threads: Int = Context.defaultThreads, device: Device = .cpu,
        deviceMemory: Int? = nil
    ) throws(KernelError) {
        guard (1...Self.maximumThreads).contains(threads) else { throw .invalidThreads(threads) }
        switch device {
        case .cpu: engine = try Engine.cpu(isa: isa, threads: threads)
        case .cuda(let number), .cudaFixed(let number):
            engine = try Engine.cuda(number, as: device, memory: deviceMemory)
        }
        self.isa = isa
        self.threads = threads
        self.device = device
    }

    deinit { engine.close(engine.handle) }

    /// The memory of a GPU; nil for the processor.
    public var deviceMemory: DeviceMemory? {
        lock.lock()
        defer { lock.unlock() }
        return engine.memory?(engine.handle)
    }

    /// Calls an entry of the backend that cannot fail.
    func withBackend<Result>(_ body: (cairn_backend, OpaquePointer) -> Result) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return body(engine.backend, engine.handle)
    }

    /// Does work beside the operations, on a thread of its own, with a processor to itself.
    ///
    /// Where the context has a worker for every processor one of them steps aside meanwhile. Else
    /// the system would stop one in the middle of its part of an operation, and all the others
    /// would wait for it: the work would cost as much time as it takes, and not its share.
    package func beside<Result>(_ work: () throws -> Result) rethrows -> Result {
        guard device == .cpu, threads >= activeProcessorCount() else { return try work() }
        cairn_context_lend_worker(engine.handle)
        defer { cairn_context_take_back_worker(engine.handle) }
        return try work()
    }

    /// Waits until everything that was asked for is done.
    ///
    /// A device works behind its caller, and may say only now that an operation failed.
    ///
    /// - Throws: `deviceFailed`.
    package func finish() throws(KernelError) {
        try run("finish") { backend, handle in backend.finish(handle) }
    }

    /// Why the engine failed last, as a sentence; nil when it has nothing to say.
    private var failure: String? {
        let sentence = withBackend { String(cString: $0.failure($1)) }
        return sentence.isEmpty ? nil : sentence
    }

    /// What an engine without `byteCount` bytes left has to say.
    func outOfMemory(_ operation: String, bytes: Int?) -> KernelError {
        failure.map { .deviceFailed("\(operation): \($0)") }
            ?? .outOfMemory(operation: operation, bytes: bytes)
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
        let status = body(engine.backend, engine.handle)
        lock.unlock()
        switch status {
        case .ok: return
        case .outOfMemory: throw outOfMemory(operation, bytes: nil)
        case .deviceFailed: throw .deviceFailed(failure ?? "\(device) failed at \(operation)")
        case .invalidArgument where operation == "finish":
            throw .deviceFailed(failure ?? "\(device) met bad data")
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
