// SPDX-License-Identifier: Apache-2.0
/// Targets for the readers of what numpy, Ruby and torch write.

import CairnFormats
import CairnTensor
import Foundation

extension FuzzTarget {
    static let npy = FuzzTarget(name: "npy", lengthLimit: 1024) { bytes in
        try FuzzDirectory.with([("x.npy", bytes)]) { directory in
            let tensor = try NPYReader.tensor(
                contentsOf: directory.appendingPathComponent("x.npy"))
            touch(["x": tensor])
        }
    }

    static let npz = FuzzTarget(name: "npz", lengthLimit: 8192) { bytes in
        try FuzzDirectory.with([("x.npz", bytes)]) { directory in
            let file = try NPZFile(contentsOf: directory.appendingPathComponent("x.npz"))
            for name in file.names {
                if let tensor = try file.tensor(named: name) { touch([name: tensor]) }
            }
        }
    }

    /// What is accepted is written and read back as the same value.
    static let marshal = FuzzTarget(name: "marshal", lengthLimit: 4096) { bytes in
        let value = try MarshalReader.value(bytes: bytes, file: "x")
        let again = try MarshalReader.value(try MarshalWriter.data(value), file: "y")
        precondition(again == value, "the value does not read back as it was written")
    }

    static let mlxRuby = FuzzTarget(name: "mlx-ruby", lengthLimit: 4096) { bytes in
        let value = try MarshalReader.value(bytes: bytes, file: "x")
        let checkpoint = try MLXRubyCheckpoint(payload: value, file: "x")
        touch(checkpoint.tensors)
        for state in checkpoint.optimizer?.states ?? [] {
            for slots in state.slots.values { touch(slots) }
        }
    }

    /// What is accepted is written and read back: the same bytes again.
    static let torch = FuzzTarget(name: "torch", lengthLimit: 8192) { bytes in
        try FuzzDirectory.with([("x.pt", bytes)]) { directory in
            let url = directory.appendingPathComponent("x.pt")
            let written = try TorchWriter.data(TorchFile(contentsOf: url).value, name: "x")
            let other = directory.appendingPathComponent("y.pt")
            try written.write(to: other)
            let again = try TorchWriter.data(TorchFile(contentsOf: other).value, name: "x")
            precondition(again == written, "the file does not read back as it was written")
        }
    }

    /// The input is the pickle of a torch file whose storages all have 64 bytes, so that changes
    /// meet the instructions and no checksum.
    static let pickle = FuzzTarget(name: "pickle", lengthLimit: 4096) { bytes in
        let value = try TorchFile.value(ofPickle: bytes, file: "x") { _ in
            TensorStorage(byteCount: 64)
        }
        sum(try TorchWriter.data(value, name: "x"))
    }
}
