// SPDX-License-Identifier: Apache-2.0
/// An open engine: the table of operations of a device and the context that they are called with.

internal import CCairn

/// What a `Context` calls; whoever made it says how it is closed.
struct Engine {
    let backend: cairn_backend
    let handle: OpaquePointer
    let close: @Sendable (OpaquePointer) -> Void
    /// The memory of a device that has its own.
    let memory: (@Sendable (OpaquePointer) -> DeviceMemory)?

    /// This library's kernels on the processor.
    static func cpu(isa: ISA, threads: Int) throws(KernelError) -> Engine {
        var created: OpaquePointer?
        switch cairn_context_create(isa.native, threads, &created) {
        case .ok: break
        case .unsupportedISA: throw .unsupportedISA(isa, supported: ISA.supported)
        case .outOfMemory: throw .outOfMemory(operation: "Context", bytes: nil)
        case .threadFailed: throw .threadsRefused(threads)
        case .invalidArgument, .deviceFailed:
            preconditionFailure(
                "cairn_context_create refused \(threads) threads, expected 1...1024")
        }
        guard let created else {
            preconditionFailure("cairn_context_create returned ok and no context")
        }
        return Engine(
            backend: cairn_backend_cpu, handle: created, close: { cairn_context_destroy($0) },
            memory: nil)
    }
}
