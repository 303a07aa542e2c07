// SPDX-License-Identifier: Apache-2.0
/// What a command computes on: device, threads, instruction set.

import Cairn

/// The flags of a command that are the machine's and change no result of the CPU's engine.
struct Machine: CustomStringConvertible {
    static let deviceFlag = Flag(
        "--device", "NAME", standard: "cpu",
        "cpu, cuda, cuda:N or cuda-fixed:N, whose bits no number of ranks moves; a GPU needs a "
            + "build with CUDA")

    var threads: Int
    var isa: ISA
    var device: Device
    /// What `--memory` allows, of the processor's memory or of the GPU's; nil without it.
    var memory: Int?
    /// Whether results of a frozen prefix are kept on the disk.
    var prefix = PrefixPolicy.auto

    func context() throws -> Context {
        try Context(isa: isa, threads: threads, device: device)
    }

    /// Puts the machine in a job's options.
    func apply(to options: inout FineTuneOptions) {
        (options.threads, options.isa, options.device) = (threads, isa, device)
        (options.memory, options.prefix) = (memory, prefix)
    }

    var description: String {
        device == .cpu ? "\(isa.rawValue), \(threads) threads" : "\(device)"
    }
}

extension Machine {
    init(_ options: FineTuneOptions) {
        self.init(
            threads: options.threads, isa: options.isa, device: options.device,
            memory: options.memory, prefix: options.prefix)
    }
}

extension Arguments {
    /// Device, threads and instruction set, for every command that computes.
    func machine() throws -> Machine {
        let most = Context.maximumThreads
        let threads =
            try integer("--threads", atLeast: 1)
            ?? Launcher.here.threads(of: Context.defaultThreads)
        guard threads <= most else {
            throw usage("--threads must be at most \(most), found '\(threads)'")
        }
        let name = string("--device") ?? "cpu"
        guard let device = Device(name) else {
            throw usage("--device must be cpu, cuda:N or cuda-fixed:N, found '\(name)'")
        }
        return Machine(
            threads: threads, isa: try choice("--isa", ISA.self) ?? .best, device: device,
            memory: try memory(),
            prefix: try choice("--reuse-prefix", PrefixPolicy.self) ?? .auto)
    }

    private func memory() throws -> Int? {
        guard let text = string("--memory") else { return nil }
        guard let size = ByteSize(text) else {
            throw usage("--memory must be bytes with K, M or G, as 950M or 1.2G, found '\(text)'")
        }
        return size.count
    }
}
