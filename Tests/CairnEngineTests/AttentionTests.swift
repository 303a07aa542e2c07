// SPDX-License-Identifier: Apache-2.0
/// Attention and its gradients against the formula in double, and bits across settings.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

extension AttentionCase: CustomTestStringConvertible {
    var testDescription: String {
        "\(heads)/\(kvHeads) heads of \(headDim), causal \(isCausal), window \(window), "
            + sequences.map { "\($0.queries):\($0.keys)" }.joined(separator: " ")
    }

    /// Heads, masks, pruned queries, an empty sequence, more keys than a tile holds.
    static let all = [
        AttentionCase(),
        AttentionCase(heads: 3, kvHeads: 3, headDim: 1, isCausal: false),
        AttentionCase(heads: 4, kvHeads: 2, headDim: 17, window: 2),
        AttentionCase(
            heads: 2, kvHeads: 1, headDim: 16, isCausal: false,
            sequences: [(2, 2), (0, 0), (0, 3), (7, 7)]),
        AttentionCase(heads: 2, kvHeads: 2, headDim: 24, sequences: [(1, 40), (1, 1), (1, 150)]),
        AttentionCase(heads: 1, kvHeads: 1, headDim: 8, window: 37, sequences: [(90, 150)]),
        AttentionCase(heads: 2, kvHeads: 1, headDim: 64, sequences: [(70, 70), (33, 33)]),
    ]

    func shape(_ lab: Lab) throws -> AttentionShape {
        AttentionShape(
            heads: heads, kvHeads: kvHeads, headDim: headDim, scale: Float(scale),
            isCausal: isCausal, window: window, queryOffsets: queryOffsets,
            keyOffsets: keyOffsets, queryPositions: try lab.words(positions))
    }

    var q: [Float] { random(queryCount, "q") }
    var k: [Float] { random(keyCount, "k") }
    var v: [Float] { random(keyCount, "v") }
    var dO: [Float] { random(queryCount, "dO") }

    func forward(
        _ lab: Lab, q: [Float]? = nil, k: [Float]? = nil, v: [Float]? = nil
    ) throws -> (o: Floats, logSums: Floats) {
        let (o, logSums) = (try lab.result(queryCount), try lab.result(queries * heads))
        try lab.context.attentionForward(
            try shape(lab), q: try lab.floats(q ?? self.q), k: try lab.floats(k ?? self.k),
            v: try lab.floats(v ?? self.v), into: o, logSums: logSums)
        return (o, logSums)
    }

    func backward(_ lab: Lab) throws -> [Floats] {
        let (o, logSums) = try forward(lab)
        let (dq, dk) = (try lab.result(queryCount), try lab.result(keyCount))
        let dv = try lab.result(keyCount)
        try lab.context.attentionBackward(
            try shape(lab), q: try lab.floats(q), k: try lab.floats(k), v: try lab.floats(v),
            o: o, logSums: logSums, dO: try lab.floats(dO), intoQ: dq, k: dk, v: dv)
        return [dq, dk, dv]
    }
}

private func doubles(_ values: [Float]) -> [Double] { values.map(Double.init) }

@Suite struct AttentionTests {
    @Test(arguments: Setting.all)
    func `every setting gives the bits of one scalar thread`(setting: Setting) throws {
        for attention in AttentionCase.all {
            try expectScalarBits(setting, attention.testDescription) { lab in
                let (o, logSums) = try attention.forward(lab)
                return [o, logSums] + (try attention.backward(lab))
            }
        }
    }

    @Test(arguments: AttentionCase.all)
    func `outputs and log sums are those of the formula`(attention: AttentionCase) throws {
        let lab = try Lab()

        let (o, logSums) = try attention.forward(lab)

        let expected = attention.forward(
            doubles(attention.q), doubles(attention.k), doubles(attention.v))
        #expect(firstMismatch(lab.read(o), expected.o, tolerance: 5e-6) == nil)
        #expect(firstMismatch(lab.read(logSums), expected.logSums, tolerance: 5e-6) == nil)
    }

    @Test(arguments: AttentionCase.all)
    func `gradients are those of the formula`(attention: AttentionCase) throws {
        let lab = try Lab()

        let gradients = try attention.backward(lab)

        let expected = attention.backward(
            doubles(attention.q), doubles(attention.k), doubles(attention.v),
            dO: doubles(attention.dO))
        for (found, wanted) in zip(gradients, [expected.dq, expected.dk, expected.dv]) {
            // A sequence of one key has a gradient of 0 up to rounding, so the bound is absolute.
            #expect(firstMismatch(lab.read(found), wanted, tolerance: 3e-5) == nil)
        }
    }

    @Test(arguments: AttentionCase.all.prefix(3))
    func `the formula's gradients are its central differences`(attention: AttentionCase) {
        let (q, k, v) = (doubles(attention.q), doubles(attention.k), doubles(attention.v))
        let dO = doubles(attention.dO)

        let gradients = attention.backward(q, k, v, dO: dO)

        let dq = centralDifference(at: q) { dot(attention.forward($0, k, v).o, dO) }
        let dk = centralDifference(at: k) { dot(attention.forward(q, $0, v).o, dO) }
        let dv = centralDifference(at: v) { dot(attention.forward(q, k, $0).o, dO) }
        #expect(firstMismatch(gradients.dq, dq, tolerance: 1e-7) == nil)
        #expect(firstMismatch(gradients.dk, dk, tolerance: 1e-7) == nil)
        #expect(firstMismatch(gradients.dv, dv, tolerance: 1e-7) == nil)
    }

    @Test(arguments: ISA.supported)
    func `packing does not change a bit`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let alone = AttentionCase(headDim: 16, sequences: [(70, 70)])
        let packed = AttentionCase(headDim: 16, sequences: [(5, 5), (70, 70), (3, 3)])
        func place(_ values: [Float], _ filler: [Float], _ width: Int) -> [Float] {
            Array(filler[..<(5 * width)]) + values + Array(filler[..<(3 * width)])
        }

        let expected = lab.read(try alone.forward(lab).o)
        let found = lab.read(
            try packed.forward(
                lab, q: place(alone.q, packed.q, 32), k: place(alone.k, packed.k, 16),
                v: place(alone.v, packed.v, 16)
            ).o)

        #expect(bitMismatch(Array(found[5 * 32..<75 * 32]), expected) == nil)
    }

    @Test(arguments: ISA.supported)
    func `a query that sees no key gives zeros and minus infinity`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let attention = AttentionCase(sequences: [(2, 0), (1, 1)])

        let (o, logSums) = try attention.forward(lab)

        #expect(lab.read(o)[..<16].allSatisfy { $0 == 0 })
        #expect(lab.read(logSums)[..<4].allSatisfy { $0 == -.infinity })
        #expect(lab.read(logSums)[4...].allSatisfy { $0.isFinite })
        for gradient in try attention.backward(lab) {
            #expect(lab.read(gradient).allSatisfy { $0.isFinite })
        }
    }

    @Test(arguments: ISA.supported)
    func `NaN reaches the queries that see it and no other`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let attention = AttentionCase(heads: 1, kvHeads: 1, headDim: 4, sequences: [(40, 40)])
        var (q, k, v) = (attention.q, attention.k, attention.v)
        q[3 * 4] = .nan
        let fromQuery = lab.read(try attention.forward(lab, q: q).o)
        k[20 * 4 + 1] = .nan
        let fromKey = lab.read(try attention.forward(lab, k: k).o)
        v[20 * 4 + 1] = .nan
        let fromValue = lab.read(try attention.forward(lab, v: v).o)

        for element in 0..<160 {
            #expect(fromQuery[element].isNaN == (element / 4 == 3))
            #expect(fromKey[element].isNaN == (element / 4 >= 20))
            #expect(fromValue[element].isNaN == (element / 4 >= 20 && element % 4 == 1))
        }
    }

    @Test func `scores beyond the range of exp keep their softmax`() throws {
        let lab = try Lab()
        let attention = AttentionCase(
            heads: 1, kvHeads: 1, headDim: 1, isCausal: false, sequences: [(1, 3)])

        let (o, logSums) = try attention.forward(lab, q: [100], k: [10, 9, -10], v: [1, 2, 3])

        #expect(lab.read(o) == [1])
        #expect(lab.read(logSums) == [1000])
    }
}
