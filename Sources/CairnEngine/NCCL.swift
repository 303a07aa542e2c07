// SPDX-License-Identifier: Apache-2.0
/// Messages from GPU to GPU over NCCL, which the CUDA engine opens when ranks ask for it.

/// What the loader finds as libnccl.so.2.
package enum NCCL {
    /// Its version, as 2.27.3.
    ///
    /// - Throws: `KernelError.deviceFailed`: why there is none.
    package static func version() throws(KernelError) -> String {
        #if CAIRN_CUDA
            var version: Int32 = 0
            try check(cairn_cuda_nccl_version(&version))
            return "\(version / 10000).\(version / 100 % 100).\(version % 100)"
        #else
            throw notBuiltIn
        #endif
    }

    /// By what the ranks of one run find each other; the first makes it for all.
    package static func makeID() throws(KernelError) -> [UInt8] {
        #if CAIRN_CUDA
            var id = cairn_cuda_ranks_id()
            try check(cairn_cuda_make_ranks_id(&id))
            return withUnsafeBytes(of: id) { [UInt8]($0) }
        #else
            throw notBuiltIn
        #endif
    }

    /// Joins the other ranks; returns when all of them have called it. Each needs a GPU of its own.
    package static func join(
        _ context: Context, id: [UInt8], rank: Int, size: Int
    ) throws(KernelError) -> any DeviceTransport {
        #if CAIRN_CUDA
            return try NCCLTransport(context, id: id, rank: rank, size: size)
        #else
            throw notBuiltIn
        #endif
    }
}

#if CAIRN_CUDA
    internal import CCairnCUDA

    private func check(_ status: cairn_cuda_status) throws(KernelError) {
        guard status != .ok else { return }
        throw .deviceFailed(String(cString: cairn_cuda_error_text()))
    }

    private final class NCCLTransport: DeviceTransport {
        private let context: Context

        init(_ context: Context, id bytes: [UInt8], rank: Int, size: Int) throws(KernelError) {
            precondition(context.device != .cpu, "NCCL joins GPUs, and the context is the CPU's")
            self.context = context
            var id = cairn_cuda_ranks_id()
            precondition(
                bytes.count == MemoryLayout.size(ofValue: id), "\(bytes.count) bytes of id")
            withUnsafeMutableBytes(of: &id) { $0.copyBytes(from: bytes) }
            try check(
                context.withBackend { cairn_cuda_join($1, &id, Int32(rank), Int32(size)) })
        }

        func exchange(_ parcels: [Parcel]) throws {
            let parcels = parcels.map {
                cairn_cuda_parcel(
                    memory: $0.memory.base, bytes: 4 * $0.memory.count, rank: Int32($0.rank),
                    arrives: $0.arrives)
            }
            guard !parcels.isEmpty else { return }
            try check(
                context.withBackend { cairn_cuda_exchange($1, parcels, parcels.count) })
        }
    }
#else
    private let notBuiltIn = KernelError.deviceFailed("this build has no CUDA engine")
#endif
