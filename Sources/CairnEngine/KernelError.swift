// SPDX-License-Identifier: Apache-2.0
/// What the machine or the data can make an engine refuse.

/// Why a context, a buffer or an operation failed for a reason outside the program.
public enum KernelError: Error, Equatable, Sendable, CustomStringConvertible {
    /// This build or this machine lacks the instruction set.
    case unsupportedISA(ISA, supported: [ISA])
    /// A context takes 1 to 1024 threads.
    case invalidThreads(Int)
    /// The system started fewer threads than were asked for.
    case threadsRefused(Int)
    /// There is no memory for `operation`; `bytes` is nil when the kernel's scratch memory grew.
    case outOfMemory(operation: String, bytes: Int?)
    /// An id, a target or an index in the data of `operation` is out of its range.
    case invalidOperand(operation: String)
    /// This build or this machine has no such device.
    case noDevice(Device, reason: String)
    /// A device ran out of memory, met bad data or stopped; the sentence is its engine's.
    case deviceFailed(String)

    public var description: String {
        switch self {
        case .unsupportedISA(let isa, let supported):
            "this machine does not run the '\(isa.rawValue)' kernels, only "
                + supported.map { "'\($0.rawValue)'" }.joined(separator: ", ")
        case .invalidThreads(let threads):
            "an engine takes 1 to \(Context.maximumThreads) threads, got \(threads)"
        case .threadsRefused(let threads):
            "the system did not start \(threads) threads; ask for fewer"
        case .outOfMemory(let operation, let bytes?):
            "\(operation): the system has no \(bytes) bytes of memory left"
        case .outOfMemory(let operation, nil):
            "\(operation): the system has no memory left for scratch space"
        case .invalidOperand(let operation):
            "\(operation): an id or a target in the data is out of its range"
        case .noDevice(let device, let reason): "\(device) cannot be used: \(reason)"
        case .deviceFailed(let sentence): sentence
        }
    }
}
