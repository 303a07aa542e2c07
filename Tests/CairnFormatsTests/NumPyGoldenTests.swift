// SPDX-License-Identifier: Apache-2.0
/// Files that numpy wrote, and files of ours that have numpy's bytes.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct NumPyGoldenTests {
    static func file(_ name: String) throws -> [UInt8] {
        unhex(try #require(NumPyGolden.files[name]))
    }

    static let matrix = Tensor([1, 2.5, -3, 4, 5, 6] as [Float], shape: [2, 3])

    static func saved(_ tensor: Tensor) throws -> [UInt8] {
        var sink = DataSink()
        try NPYWriter.write(tensor, to: &sink)
        return Array(sink.data)
    }

    @Test(arguments: ["matrix", "matrix in Fortran order"])
    func `a matrix in either order is read`(name: String) throws {
        let read = try openNPY(try Self.file(name))
        #expect(read.shape == [2, 3])
        #expect(read.floats() == Self.matrix.floats())
    }

    @Test func `a big-endian vector, a scalar and an empty array are read`() throws {
        #expect(try openNPY(try Self.file("big-endian vector")).floats() == [1, 258])
        let scalar = try openNPY(try Self.file("scalar"))
        #expect(scalar.dtype == .bool && scalar.shape == [] && scalar.floats() == [1])
        let empty = try openNPY(try Self.file("empty"))
        #expect(empty.dtype == .f16 && empty.shape == [0, 3])
    }

    @Test func `what we write has numpy's bytes`() throws {
        #expect(try Self.saved(Self.matrix) == Self.file("matrix"))
        #expect(try Self.saved(Tensor(zeros: [0, 3], dtype: .f16)) == Self.file("empty"))
        var scalar = Tensor(zeros: [], dtype: .bool)
        scalar.withMutableBytes { $0[0] = 1 }
        #expect(try Self.saved(scalar) == Self.file("scalar"))
    }

    @Test(arguments: ["stored archive", "deflated archive"])
    func `an archive is read`(name: String) throws {
        let read = try withFile(try Self.file(name)) { try NPZFile(contentsOf: $0).tensors() }
        #expect(read.count == 2)
        #expect(read["w"]?.dtype == .i16)
        #expect(read["w"]?.floats() == [1, -2])
        #expect(read["s"]?.doubles() == [0.5])
        #expect(read["s"]?.shape == [])
    }
}
