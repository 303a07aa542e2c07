// SPDX-License-Identifier: Apache-2.0
/// Parameter updates against their formulas in double, and bits across settings.

import CairnEngine
import Foundation
import TestSupport
import Testing

@Suite struct OptimizerTests {
    static let adamW = AdamStep(
        learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01,
        gradientScale: 0.5)
    static let sgd = SGDStep(
        learningRate: 0.1, momentum: 0.9, weightDecay: 0.01, gradientScale: 0.5)
    static let nesterov = SGDStep(
        learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01, gradientScale: 0.5)
    static let lion = LionStep(
        learningRate: 1e-3, beta1: 0.9, beta2: 0.99, weightDecay: 0.1, gradientScale: 0.5)
    static let steps = 5

    /// Five steps from zero moments; Adam's where `isCoupled`, else AdamW's.
    private func train(_ lab: Lab, _ count: Int, isCoupled: Bool = false) throws -> [Floats] {
        let p = try lab.floats(random(count, "p"))
        let zeros = [Float](repeating: 0, count: count)
        let (m, v) = (try lab.floats(zeros), try lab.floats(zeros))
        for t in 1...Self.steps {
            let g = try lab.floats(random(count, "g\(t)"))
            if isCoupled {
                try lab.context.adamStep(
                    Self.adamW, t: UInt64(t), parameters: p, gradient: g, m: m, v: v)
            } else {
                try lab.context.adamWStep(
                    Self.adamW, t: UInt64(t), parameters: p, gradient: g, m: m, v: v)
            }
        }
        return [p, m, v]
    }

    private func roar(_ lab: Lab, _ count: Int) throws -> [Floats] {
        let p = try lab.floats(random(count, "p"))
        let m = try lab.floats([Float](repeating: 0, count: count))
        for t in 1...Self.steps {
            try lab.context.lionStep(
                Self.lion, parameters: p, gradient: try lab.floats(random(count, "g\(t)")), m: m)
        }
        return [p, m]
    }

    private func descend(_ lab: Lab, _ count: Int, _ step: SGDStep) throws -> [Floats] {
        let p = try lab.floats(random(count, "p"))
        let u = try lab.floats([Float](repeating: 0, count: count))
        for t in 1...Self.steps {
            try lab.context.sgdStep(
                step, parameters: p, gradient: try lab.floats(random(count, "g\(t)")),
                velocity: step.momentum == 0 ? nil : u)
        }
        return [p, u]
    }

    @Test(arguments: Setting.all)
    func `every setting gives the bits of one scalar thread`(setting: Setting) throws {
        for count in lengths {
            try expectScalarBits(setting, "AdamW, \(count)") { try train($0, count) }
            try expectScalarBits(setting, "Adam, \(count)") {
                try train($0, count, isCoupled: true)
            }
            try expectScalarBits(setting, "SGD, \(count)") { try descend($0, count, Self.sgd) }
            try expectScalarBits(setting, "nesterov, \(count)") {
                try descend($0, count, Self.nesterov)
            }
            try expectScalarBits(setting, "Lion, \(count)") { try roar($0, count) }
        }
    }

    @Test(arguments: [false, true])
    func `Adam and AdamW are those of the formula`(isCoupled: Bool) throws {
        let lab = try Lab()
        let count = 20_001
        let step = Self.adamW

        let found = try train(lab, count, isCoupled: isCoupled).map(lab.read)

        var p = random(count, "p").map(Double.init)
        var m = [Double](repeating: 0, count: count)
        var v = m
        for t in 1...Self.steps {
            for (i, value) in random(count, "g\(t)").enumerated() {
                let penalty = isCoupled ? step.weightDecay * p[i] : 0
                let g = Double(value) * step.gradientScale + penalty
                m[i] = step.beta1 * m[i] + (1 - step.beta1) * g
                v[i] = step.beta2 * v[i] + (1 - step.beta2) * g * g
                let mHat = m[i] / (1 - pow(step.beta1, Double(t)))
                let vHat = v[i] / (1 - pow(step.beta2, Double(t)))
                if !isCoupled { p[i] *= 1 - step.learningRate * step.weightDecay }
                p[i] -= step.learningRate * mHat / (vHat.squareRoot() + step.epsilon)
            }
        }
        // Five steps round p five times: 5 * 2^-24 of |p| <= 4, and a little for the update.
        #expect(firstMismatch(found[0], p, tolerance: 1.3e-6) == nil)
        #expect(firstMismatch(found[1], m, tolerance: 3e-7) == nil)
        #expect(relativeError(found[2], v) < 5e-7)
    }

    @Test func `AdamW corrects the bias of a late step`() throws {
        let lab = try Lab()
        let (p, g) = (try lab.floats([0]), try lab.floats([1]))
        let (m, v) = (try lab.floats([0.5]), try lab.floats([0.25]))
        let t: UInt64 = 1_000_003

        try lab.context.adamWStep(
            AdamStep(learningRate: 1, beta1: 0.9, beta2: 0.999_999, epsilon: 1e-8, weightDecay: 0),
            t: t, parameters: p, gradient: g, m: m, v: v)

        let vHat = (0.999_999 * 0.25 + 1e-6) / (1 - pow(0.999_999, Double(t)))
        #expect(firstMismatch(lab.read(p), [-0.55 / vHat.squareRoot()], tolerance: 1e-6) == nil)
    }

    @Test(arguments: [sgd, nesterov, SGDStep(learningRate: 0.1)])
    func `SGD is that of the formula`(step: SGDStep) throws {
        let lab = try Lab()
        let count = 20_001

        let found = try descend(lab, count, step).map(lab.read)

        var p = random(count, "p").map(Double.init)
        var u = [Double](repeating: 0, count: count)
        for t in 1...Self.steps {
            for (i, value) in random(count, "g\(t)").enumerated() {
                let g = Double(value) * step.gradientScale + step.weightDecay * p[i]
                u[i] = step.momentum * u[i] + g
                p[i] -= step.learningRate * (step.nesterov ? g + step.momentum * u[i] : u[i])
            }
        }
        #expect(firstMismatch(found[0], p, tolerance: 2e-6) == nil)
        #expect(
            firstMismatch(
                found[1], step.momentum == 0 ? u.map { _ in 0 } : u, tolerance: 2e-6) == nil)
    }

    @Test func `Lion is that of the formula`() throws {
        let lab = try Lab()
        let count = 20_001
        let step = Self.lion

        let found = try roar(lab, count).map(lab.read)

        var p = random(count, "p").map(Double.init)
        var m = [Double](repeating: 0, count: count)
        for t in 1...Self.steps {
            for (i, value) in random(count, "g\(t)").enumerated() {
                let g = Double(value) * step.gradientScale
                let c = step.beta1 * m[i] + (1 - step.beta1) * g
                p[i] *= 1 - step.learningRate * step.weightDecay
                p[i] -= step.learningRate * (c > 0 ? 1 : c < 0 ? -1 : 0)
                m[i] = step.beta2 * m[i] + (1 - step.beta2) * g
            }
        }
        // As AdamW's: |p| <= 4. No mixture of these gradients is so near 0 that rounding turns it.
        #expect(firstMismatch(found[0], p, tolerance: 1.3e-6) == nil)
        #expect(firstMismatch(found[1], m, tolerance: 3e-8) == nil)
    }

    @Test func `Lion moves nothing where gradient and momentum are zero`() throws {
        let lab = try Lab()
        let (p, m) = (try lab.floats([3, 4]), try lab.floats([0, 0]))

        try lab.context.lionStep(
            LionStep(learningRate: 0.5, beta1: 0.9, beta2: 0.99, weightDecay: 0), parameters: p,
            gradient: try lab.floats([0, -1e-30]), m: m)

        #expect(lab.read(p) == [3, 4.5])
    }

    @Test(arguments: Setting.all)
    func `the sum of squares does not depend on the setting`(setting: Setting) throws {
        let (lab, scalar) = (try Lab(setting), try Lab(.scalar))
        for count in lengths {
            let x = random(count, "x")
            let sum = try lab.context.sumOfSquares(try lab.floats(x))
            let expected = x.reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect(sum == (try scalar.context.sumOfSquares(try scalar.floats(x))))
            #expect(abs(sum - expected) <= 1e-13 * expected)
        }
    }

    @Test(arguments: ISA.supported, [Float.nan, .infinity, -.infinity])
    func `a gradient that is not finite is not lost`(isa: ISA, bad: Float) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        for count in [1, 16, 37, 9000] {
            var gradient = [Float](repeating: 1, count: count)
            gradient[count - 1] = bad
            let g = try lab.floats(gradient)
            let p = try lab.floats([Float](repeating: 0, count: count))
            let m = try lab.floats([Float](repeating: 0, count: count))
            let v = try lab.floats([Float](repeating: 0, count: count))

            let sum = try lab.context.sumOfSquares(g)
            try lab.context.adamWStep(Self.adamW, t: 1, parameters: p, gradient: g, m: m, v: v)

            #expect(bad.isNaN ? sum.isNaN : sum == .infinity)
            #expect(!lab.read(p)[count - 1].isFinite)
            #expect(lab.read(p).dropLast().allSatisfy { $0.isFinite })
        }
    }

    @Test func `the sum of squares does not overflow where fp32 would`() throws {
        let lab = try Lab()

        let sum = try lab.context.sumOfSquares(try lab.floats([3e30, 4e30]))

        #expect(abs(sum - 25e60) <= 1e-6 * 25e60)
    }
}
