// SPDX-License-Identifier: Apache-2.0
/// Additions, products and conversions are what one rounded operation gives.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

@Suite struct ElementwiseTests {
    @Test(arguments: Setting.all)
    func `addition, product and factor are one operation per element`(setting: Setting) throws {
        let lab = try Lab(setting)
        for count in lengths {
            let (x, y) = (random(count, "a"), random(count, "b"))
            let (a, b) = (try lab.floats(x), try lab.floats(y))
            let (sum, product, scaled) = (
                try lab.result(count), try lab.result(count), try lab.result(count)
            )

            try lab.context.add(a, b, scale: -0.3, into: sum)
            try lab.context.multiply(a, b, into: product)
            try lab.context.scale(a, by: 0.7, into: scaled)

            #expect(
                bitMismatch(lab.read(sum), zip(x, y).map { $0.addingProduct(-0.3, $1) }) == nil,
                "add, \(count)")
            #expect(bitMismatch(lab.read(product), zip(x, y).map(*)) == nil, "multiply, \(count)")
            #expect(bitMismatch(lab.read(scaled), x.map { 0.7 * $0 }) == nil, "scale, \(count)")
        }
        #expect(lab.brokenGuard() == nil)
    }

    @Test(arguments: ISA.supported)
    func `the result may be an operand`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 3))
        let count = 40_001
        let (x, y) = (random(count, "a"), random(count, "b"))
        let (a, b) = (try lab.floats(x), try lab.floats(y))

        try lab.context.add(a, b, into: a)
        try lab.context.multiply(a, b, into: b)
        try lab.context.scale(b, by: 2, into: b)

        let sum = zip(x, y).map(+)
        #expect(bitMismatch(lab.read(a), sum) == nil)
        #expect(bitMismatch(lab.read(b), zip(sum, y).map { 2 * ($0 * $1) }) == nil)
    }

    @Test(arguments: ISA.supported)
    func `NaN and infinity propagate element by element`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 1))
        let special: [Float] = [.nan, .infinity, -.infinity, 1, 0]
        let x = (0..<20).map { special[$0 % 5] }
        let y = [Float](repeating: -.infinity, count: 20)
        let (sum, product) = (try lab.result(20), try lab.result(20))

        try lab.context.add(try lab.floats(x), try lab.floats(y), into: sum)
        try lab.context.multiply(try lab.floats(x), try lab.floats(y), into: product)

        #expect(bitMismatch(lab.read(sum), zip(x, y).map(+)) == nil)
        #expect(bitMismatch(lab.read(product), zip(x, y).map(*)) == nil)
    }

    @Test(arguments: Setting.all)
    func `widening is exact for every bit pattern of sixteen bits`(setting: Setting) throws {
        let lab = try Lab(setting)
        let patterns = (0...UInt16.max).map { $0 }
        for dtype in [DType.bf16, .f16] {
            var tensor = Tensor(zeros: [patterns.count], dtype: dtype)
            patterns.withUnsafeBytes { source in
                tensor.withMutableBytes { $0.copyMemory(from: source) }
            }
            let y = try lab.result(patterns.count)

            try lab.context.widen(Buffer(borrowing: tensor, context: lab.context).weight, into: y)

            // The engine flushes denormals; those of binary16 are normal numbers of binary32.
            let expected = tensor.floats().map { $0.isSubnormal ? Float(sign: $0.sign) : $0 }
            let found = lab.read(y).map { $0.isSubnormal ? Float(sign: $0.sign) : $0 }
            #expect(bitMismatch(found, expected) == nil, "\(dtype.rawValue)")
        }
    }

    @Test(arguments: weightTypes)
    func `widening takes any count`(dtype: DType) throws {
        let lab = try Lab(Setting(isa: .best, threads: 2))
        for count in lengths {
            let values = random(count, "w")
            let y = try lab.result(count)

            try lab.context.widen(try lab.weight(values, dtype, rows: 1, columns: count), into: y)

            #expect(bitMismatch(lab.read(y), stored(values, dtype, [count]).floats()) == nil)
        }
        #expect(lab.brokenGuard() == nil)
    }
}

extension Float {
    fileprivate init(sign: FloatingPointSign) { self = sign == .minus ? -0.0 : 0 }
}
