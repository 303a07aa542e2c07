// SPDX-License-Identifier: Apache-2.0
/// Messages between the processes of a run: what MPI gives, and tests give without it.

/// One process among several, and its way to the others.
///
/// Messages from one rank to another arrive in the order in which they were started. One thread
/// uses it at a time. An error leaves the others in an unknown state: only `abandon` is left then.
package protocol Transport: AnyObject {
    /// This process, from 0.
    var rank: Int { get }
    /// How many there are.
    var size: Int { get }

    /// Starts to send bytes that stay as they are until `finish` was called with the result.
    func start(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws -> UInt64

    /// Waits until a message has left its memory.
    func finish(_ message: UInt64) throws

    /// Waits for the next message from a rank, which has as many bytes as `bytes`.
    func receive(into bytes: UnsafeMutableRawBufferPointer, from rank: Int) throws

    /// Leaves the others; returns when all of them have.
    func close() throws

    /// Ends every process.
    func abandon()
}

/// Why a message did not get to its rank, or why there are no others.
public enum TransportError: Error, Equatable, CustomStringConvertible {
    /// The build has no MPI.
    case notBuiltIn
    /// A call of MPI failed.
    case failed(call: String, rank: Int, other: Int?, reason: String)

    public var description: String {
        switch self {
        case .notBuiltIn:
            "this build has no MPI; CAIRN_MPI=1 swift build links the system's"
        case .failed(let call, let rank, let other, let reason):
            "rank \(rank) could not \(call)\(other.map { " rank \($0)" } ?? ""): \(reason)"
        }
    }
}
