// SPDX-License-Identifier: Apache-2.0
/// Figures over the elements of a tensor.

import CairnFormats
import CairnTensor
import Testing

@Suite struct TensorStatisticsTests {
    @Test func `what is not finite is counted and kept out of the figures`() throws {
        let tensor = Tensor([1, .nan, -3, .infinity, -.infinity, 4] as [Float], shape: [2, 3])

        let figures = try #require(TensorStatistics(tensor))

        #expect((figures.minimum, figures.maximum) == (-3, 4))
        #expect(figures.mean == 2 / 3.0)
        #expect((figures.nanCount, figures.infinityCount) == (1, 2))
    }

    @Test func `an empty tensor and one of NaN alone have no figures`() throws {
        for tensor in [Tensor(zeros: [0]), Tensor([.nan] as [Float], shape: [])] {
            let figures = try #require(TensorStatistics(tensor))

            #expect(figures.minimum == nil)
            #expect(figures.maximum == nil)
            #expect(figures.mean == nil)
        }
    }

    @Test func `a sum beyond a double has no mean`() throws {
        let tensor = Tensor([1.7e308, 1.7e308] as [Double], shape: [2])

        let figures = try #require(TensorStatistics(tensor))

        #expect(figures.maximum == 1.7e308)
        #expect(figures.mean == nil)
    }

    @Test(arguments: DType.allCases)
    func `bytes of 0x40 are read by their type`(dtype: DType) throws {
        let expected: [DType: Double] = [
            .bool: 64, .u8: 64, .i8: 64, .i16: 0x4040, .u16: 0x4040, .i32: 0x4040_4040,
            .u32: 0x4040_4040, .i64: Double(0x4040_4040_4040_4040 as Int64),
            .u64: Double(0x4040_4040_4040_4040 as UInt64),
            // 0x4040: 2^1 * (1 + 64 / 1024) and 2^1 * (1 + 64 / 128)
            .f16: 2.125, .bf16: 3, .f32: Double(Float(bitPattern: 0x4040_4040)),
            .f64: Double(bitPattern: 0x4040_4040_4040_4040),
        ]
        var tensor = Tensor(zeros: [4], dtype: dtype)
        tensor.withMutableBytes { for place in $0.indices { $0[place] = 0x40 } }

        let figures = TensorStatistics(tensor)

        // Four equal numbers: the sum is exact.
        #expect(figures?.minimum == expected[dtype])
        #expect(figures?.maximum == expected[dtype])
        #expect(figures?.mean == expected[dtype])
    }
}
