// SPDX-License-Identifier: Apache-2.0
/// The CUDA engine, in builds that have it: `CAIRN_CUDA=1` links the library that nvcc builds,
/// `CAIRN_CUDA=sim` builds the same kernels for a simulator on the processor.

internal import CCairn

#if CAIRN_CUDA
    internal import CCairnCUDA

    extension Engine {
        /// Opens a GPU.
        static func cuda(
            _ number: Int, as device: Device, memory: Int?
        ) throws(KernelError) -> Engine {
            let version = cairn_cuda_abi_version()
            guard version == CAIRN_CUDA_ABI_VERSION,
                let backend = cairn_cuda_backend(MemoryLayout<cairn_backend>.size)
            else {
                throw .noDevice(
                    device,
                    reason: "libcairncuda (version \(version)) belongs to another version of Cairn")
            }
            var options = cairn_cuda_options(
                memory_budget: memory ?? 0, own_kernels: device == .cudaFixed(number))
            var opened: OpaquePointer?
            let status = cairn_cuda_open(Int32(clamping: number), &options, &opened)
            guard status == .ok, let opened else {
                let sentence = String(cString: cairn_cuda_error_text())
                throw .noDevice(device, reason: sentence)
            }
            return Engine(
                backend: backend.pointee, handle: opened, close: { cairn_cuda_close($0) },
                memory: {
                    let found = cairn_cuda_memory_of($0)
                    return DeviceMemory(budget: found.budget, used: found.used, peak: found.peak)
                })
        }
    }

    extension Device {
        /// The number of GPUs that this build can use here.
        public static var cudaCount: Int {
            var count: Int32 = 0
            return cairn_cuda_device_count(&count) == .ok ? Int(count) : 0
        }
    }
#else
    extension Engine {
        static func cuda(
            _ number: Int, as device: Device, memory: Int?
        ) throws(KernelError) -> Engine {
            throw .noDevice(
                device,
                reason: "this build has no CUDA engine; CAIRN_CUDA=1 swift build links one")
        }
    }

    extension Device {
        /// The number of GPUs that this build can use here.
        public static var cudaCount: Int { 0 }
    }
#endif
