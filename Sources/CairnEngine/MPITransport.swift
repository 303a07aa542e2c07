// SPDX-License-Identifier: Apache-2.0
/// Messages over the system's MPI, in builds that have it: `CAIRN_MPI=1` links it.

/// The ranks that mpirun, mpiexec or srun started.
package enum MPI {
    #if CAIRN_MPI
        /// Whether this build has it.
        package static let isBuiltIn = true
    #else
        /// Whether this build has it.
        package static let isBuiltIn = false
    #endif

    /// Enters the launcher's world; once in a process.
    ///
    /// - Throws: `TransportError`.
    package static func open() throws -> any Transport {
        #if CAIRN_MPI
            return try MPITransport()
        #else
            throw TransportError.notBuiltIn
        #endif
    }
}

#if CAIRN_MPI
    internal import CCairnMPI

    private final class MPITransport: Transport {
        let rank: Int
        let size: Int

        init() throws {
            var (rank, size) = (Int32(0), Int32(1))
            let code = cairn_mpi_open(&rank, &size)
            self.rank = Int(rank)
            self.size = Int(size)
            try check(code, "enter MPI_COMM_WORLD")
        }

        private func check(_ code: Int32, _ call: String, _ other: Int? = nil) throws {
            guard code != 0 else { return }
            let reason = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) {
                cairn_mpi_explain(code, $0.baseAddress!, $0.count)
                return String(cString: $0.baseAddress!)
            }
            throw TransportError.failed(call: call, rank: rank, other: other, reason: reason)
        }

        func start(_ bytes: UnsafeRawBufferPointer, to other: Int) throws -> UInt64 {
            var message = cairn_mpi_message()
            try check(
                cairn_mpi_start(bytes.baseAddress, bytes.count, Int32(other), &message), "send to",
                other)
            return message.handle
        }

        func finish(_ message: UInt64) throws {
            var message = cairn_mpi_message(handle: message)
            try check(cairn_mpi_finish(&message), "finish a message")
        }

        func receive(into bytes: UnsafeMutableRawBufferPointer, from other: Int) throws {
            try check(
                cairn_mpi_receive(bytes.baseAddress, bytes.count, Int32(other)), "receive from",
                other)
        }

        func close() throws { try check(cairn_mpi_close(), "leave MPI_COMM_WORLD") }

        func abandon() { cairn_mpi_abandon(1) }
    }
#endif
