// SPDX-License-Identifier: Apache-2.0
/// Targets for APR, and for the one view of every format.

import CairnFormats
import CairnTensor
import Foundation

extension FuzzTarget {
    /// The input gets checksums that fit, so that changes meet the rules behind them.
    ///
    /// What is accepted is written, if its types are read at all, and then reads back as the same
    /// file.
    static let apr = FuzzTarget(name: "apr", lengthLimit: 4096) { bytes in
        var file = Data(bytes)
        if file.count >= 68 {
            store(CRC32.of(file[..<40] + file[44..<64]), in: &file, at: 40)
            store(CRC32.of(file.dropLast(4)), in: &file, at: file.count - 4)
        }
        try file.withUnsafeBytes { bytes in
            try FuzzDirectory.with([("x.apr", bytes)]) { directory in
                let url = directory.appendingPathComponent("x.apr")
                let written = try rewritten(APRFile(contentsOf: url))
                try written.write(to: url)
                let again = try rewritten(APRFile(contentsOf: url))
                precondition(again == written, "the file does not read back as it was written")
            }
        }
    }

    private static func rewritten(_ file: APRFile) throws -> Data {
        var tensors: [String: Tensor] = [:]
        for entry in file.entries {
            file.withStoredBytes(of: entry) { sum($0) }
            tensors[entry.name] = try file.tensor(named: entry.name)
        }
        return try APRWriter.data(tensors, metadata: file.metadata)
    }

    /// The checksum is made to fit as well.
    static let aprVersion1 = FuzzTarget(name: "apr-v1", lengthLimit: 512) { bytes in
        var file = Data(bytes)
        if file.count >= 4 { store(CRC32.of(file.dropLast(4)), in: &file, at: file.count - 4) }
        try file.withUnsafeBytes { _ = try APRVersion1(parsing: $0, file: "x") }
    }

    private static func store(_ checksum: UInt32, in file: inout Data, at place: Int) {
        let bytes = withUnsafeBytes(of: checksum.littleEndian, Array.init)
        file.replaceSubrange(place..<(place + 4), with: bytes)
    }

    /// What is accepted in one format goes into each of the others, or is refused by a sentence.
    static let tensorFile = FuzzTarget(name: "tensor-file", lengthLimit: 4096) { bytes in
        try FuzzDirectory.with([("x", bytes)]) { directory in
            let file = try TensorFile(contentsOf: directory.appendingPathComponent("x"))
            for entry in file.entries { _ = try file.summary(of: entry) }
            let tensors = try file.tensors()
            for format in TensorFormat.allCases {
                var sink = DataSink()
                guard
                    (try? TensorFile.write(
                        tensors, metadata: file.metadata, format: format, to: &sink)) != nil
                else { continue }
                let url = directory.appendingPathComponent("y")
                try sink.data.write(to: url)
                let again = try TensorFile(contentsOf: url)
                precondition(
                    again.format == format && again.names == file.names,
                    "\(format.rawValue) gives \(again.names) for \(file.names)")
            }
        }
    }
}
