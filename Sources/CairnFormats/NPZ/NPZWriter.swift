// SPDX-License-Identifier: Apache-2.0
/// Writes tensors as a npz file that `numpy.load` opens.

import CairnTensor
import Foundation

/// Arrays in byte order of their names, stored unless asked otherwise; see `ZipWriter` and
/// `NPYWriter` for the bytes.
public enum NPZWriter {
    /// Streams the file into `sink`, array by array.
    ///
    /// Fails on a type that numpy lacks, and on a name that is no relative path.
    public static func write(
        _ tensors: [String: Tensor], method: ZipEntry.Method = .stored,
        to sink: inout some ByteSink
    ) throws(FormatError) {
        var entries: [(name: String, header: Data, tensor: Tensor)] = []
        for (name, tensor) in tensors.sorted(by: { $0.key.utf8Precedes($1.key) }) {
            let header = try NPYWriter.header(of: tensor, entry: "tensor '\(name)'")
            entries.append((name, header, tensor))
        }
        let checksums = ChecksumsAhead(entries.map { ($0.header, $0.tensor) })
        var zip = ZipWriter()
        for (name, header, tensor) in entries {
            let result = header.withUnsafeBytes { head in
                tensor.withBytes { data in
                    Result { () throws(FormatError) in
                        try zip.add(
                            name + NPZFile.suffix, [head, data], method: method,
                            checksum: checksums.next(), to: &sink)
                    }
                }
            }
            try result.get()
        }
        try zip.finish(to: &sink)
    }
}
