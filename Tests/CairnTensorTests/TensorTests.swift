// SPDX-License-Identifier: Apache-2.0
/// Tensors as values: sizes, conversions, copy on write, borrowed memory.

import CairnTensor
import Testing

@Suite struct ShapeTests {
    @Test func `the element count is the product, one for a scalar`() {
        #expect(Shape([]).elementCount == 1)
        #expect(Shape([2, 3, 4]).elementCount == 24)
        #expect(Shape([2, 0, 4]).elementCount == 0)
        #expect(Shape([5, 6]).rank == 2)
        #expect(Shape([5, 6])[1] == 6)
        #expect("\(Shape([5, 6]))" == "[5, 6]")
        #expect([5, 6] as Shape == Shape([5, 6]))
        #expect([5, 6] as Shape != [6, 5])
    }

    @Test func `the checked count refuses overflow and negative sizes`() {
        #expect(Shape.checkedElementCount([3, 4]) == 12)
        #expect(Shape.checkedElementCount([]) == 1)
        #expect(Shape.checkedElementCount([1 << 32, 1 << 31]) == nil)
        #expect(Shape.checkedElementCount([1 << 32, 1 << 30]) == 1 << 62)
        #expect(Shape.checkedElementCount([-1]) == nil)
    }
}

@Suite struct DTypeTests {
    @Test func `widths are those of the names`() {
        for dtype in DType.allCases {
            let digits = dtype.rawValue.drop { !$0.isNumber }.prefix { $0.isNumber }
            #expect(dtype.bitWidth == (dtype == .bool ? 8 : Int(digits)))
        }
    }

    @Test func `bytes are whole, or there is no count`() {
        #expect(DType.f32.byteCount(elements: 3) == 12)
        #expect(DType.f4.byteCount(elements: 2) == 1)
        #expect(DType.f4.byteCount(elements: 3) == nil)
        #expect(DType.f6e2m3.byteCount(elements: 4) == 3)
        #expect(DType.f32.byteCount(elements: .max) == nil)
        #expect(DType.f32.byteCount(elements: -1) == nil)
        #expect(DType.u8.byteCount(elements: 0) == 0)
    }

    @Test func `weights are the three floats that kernels read`() {
        #expect(DType.allCases.filter(\.isWeight) == [.f16, .bf16, .f32])
    }
}

@Suite struct TensorTests {
    /// Three elements 1, 2 and 3 (a boolean has only 1) as bytes of each type.
    static let samples: [(DType, [UInt8], [Float])] = [
        (.f32, [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0], [1, -2]),
        (.f64, [0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0xC0], [1, -2]),
        (.bf16, [0x80, 0x3F, 0, 0xC0], [1, -2]), (.f16, [0, 0x3C, 0, 0xC0], [1, -2]),
        (.i64, [1, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 8), [1, -1]),
        (.u64, [1, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 8), [1, 0x1p64]),
        (.i32, [1, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF], [1, -2]),
        (.u32, [1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], [1, 0x1p32]),
        (.i16, [1, 0, 0xFE, 0xFF], [1, -2]), (.u16, [1, 0, 0xFF, 0xFF], [1, 65535]),
        (.i8, [1, 0xFE], [1, -2]), (.u8, [1, 0xFF], [1, 255]), (.bool, [0, 1], [0, 1]),
    ]

    @Test(arguments: samples)
    func `elements are read as what their bytes say`(
        dtype: DType, bytes: [UInt8], values: [Float]
    ) {
        var tensor = Tensor(zeros: [2], dtype: dtype)
        tensor.withMutableBytes { $0.copyBytes(from: bytes) }

        #expect(tensor.byteCount == bytes.count)
        #expect(tensor.floats() == values)
        #expect(tensor.doubles() == values.map(Double.init))
    }

    @Test func `what is given comes back, at full precision`() {
        #expect(Tensor([0.1, 2] as [Double], shape: [2, 1]).doubles() == [0.1, 2])
        #expect(Tensor([1, -2] as [Int32], shape: [2]).integers() == [1, -2])
        #expect(Tensor([.min, .max] as [Int64], shape: [2]).integers() == [.min, .max])
        #expect(Tensor([] as [Float], shape: [0, 3]).floats() == [])
        #expect(Tensor([7] as [Float], shape: []).floats() == [7])
    }

    @Test func `zeros are zero and aligned for any vector`() {
        for count in [0, 1, 15, 1000] {
            let tensor = Tensor(zeros: [count])
            #expect(tensor.floats() == [Float](repeating: 0, count: count))
            #expect(tensor.withBytes { Int(bitPattern: $0.baseAddress) % 64 } == 0)
        }
    }

    @Test func `writing to a copy leaves the original`() {
        let original = Tensor([1, 2] as [Float], shape: [2])
        var copy = original

        copy.withMutableBytes { $0.storeBytes(of: 9, as: Float.self) }

        #expect(original.floats() == [1, 2])
        #expect(copy.floats() == [9, 2])
    }

    @Test func `writing to the only reference copies nothing`() {
        var tensor = Tensor([1, 2] as [Float], shape: [2])
        let before = tensor.withBytes { $0.baseAddress }

        tensor.withMutableBytes { $0.storeBytes(of: 9, as: Float.self) }

        #expect(tensor.withBytes { $0.baseAddress } == before)
        #expect(tensor.floats() == [9, 2])
    }

    /// Memory that counts how often it is freed.
    final class Owner {
        static nonisolated(unsafe) var freed = 0  // this test alone uses it
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        init() { bytes.storeBytes(of: Float(1), as: Float.self) }
        deinit {
            bytes.deallocate()
            Self.freed += 1
        }
    }

    @Test func `borrowed bytes are kept alive, never written, and let go`() {
        var owner: Owner? = Owner()
        owner!.bytes.storeBytes(of: Float(2), toByteOffset: 4, as: Float.self)
        let address = UnsafeRawPointer(owner!.bytes.baseAddress!)
        var tensor: Tensor? = Tensor(
            dtype: .f32, shape: [2],
            storage: TensorStorage(borrowing: UnsafeRawBufferPointer(owner!.bytes), owner: owner!))
        owner = nil

        #expect(Owner.freed == 0)
        #expect(tensor?.withBytes { $0.baseAddress } == address)
        tensor?.withMutableBytes { $0.storeBytes(of: Float(7), as: Float.self) }

        #expect(tensor?.floats() == [7, 2])
        #expect(tensor?.withBytes { $0.baseAddress } != address)
        #expect(Owner.freed == 1)
        tensor = nil
    }
}
