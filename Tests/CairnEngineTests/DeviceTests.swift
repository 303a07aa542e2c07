// SPDX-License-Identifier: Apache-2.0
/// Names of devices, and what asking for one that is not there says.

import CairnEngine
import Testing

@Suite struct DeviceTests {
    @Test func `a device is read from its name and written back`() {
        #expect(Device("cpu") == .cpu)
        #expect(Device("cuda") == .cuda(0))
        #expect(Device("cuda-fixed") == .cudaFixed(0))
        for device in [Device.cpu, .cuda(0), .cuda(13), .cudaFixed(0), .cudaFixed(2)] {
            #expect(Device("\(device)") == device)
        }
    }

    @Test(arguments: [
        "", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:+1", "cuda:01", "cuda:1 ", "cpu:0",
        "cuda-fixed:",
        "cuda:1:2", "cuda-own",
    ])
    func `what names no device is refused`(name: String) {
        #expect(Device(name) == nil)
    }

    @Test(.enabled(if: Device.cudaCount == 0))
    func `cuda without a device is an error, never a run on the CPU`() throws {
        for device in [Device.cuda(0), .cudaFixed(0)] {
            let error = #expect(throws: KernelError.self) { try Context(device: device) }
            guard case .noDevice(device, let reason) = error else {
                Issue.record("got \(String(describing: error))")
                return
            }
            #expect(!reason.isEmpty)
            #expect("\(error!)" == "\(device) cannot be used: \(reason)")
        }
    }

    @Test(.enabled(if: Device.cudaCount > 0))
    func `a number that no device has is an error that says how many there are`() throws {
        let count = Device.cudaCount
        #expect(
            throws: KernelError.noDevice(
                .cuda(count),
                reason: "there is no cuda:\(count); this machine has \(count) CUDA device"
                    + (count == 1 ? "" : "s"))
        ) { try Context(device: .cuda(count)) }
    }
}
