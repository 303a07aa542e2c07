// SPDX-License-Identifier: Apache-2.0
/// Losses, their gradients and softmax against the formulas in double, and bits across settings.

import CairnEngine
import CairnTensor
import Foundation
import TestSupport
import Testing

private func logSoftmax(_ x: [Double]) -> [Double] {
    let top = x.max() ?? 0
    let logSum = top + log(x.reduce(0) { $0 + exp($1 - top) })
    return x.map { $0 - logSum }
}

/// The loss of one row, in double.
private func rowLoss(_ x: [Double], _ target: Int, _ w: [Double], _ e: Double) -> Double {
    let p = logSoftmax(x)
    return -(1 - e) * w[target] * p[target] - e / Double(x.count) * dot(w, p)
}

private func binaryCrossEntropy(_ x: [Double], _ t: [Double]) -> Double {
    x.indices.reduce(0) { $0 + max(x[$1], 0) - x[$1] * t[$1] + log(1 + exp(-abs(x[$1]))) }
}

@Suite struct LossTests {
    static let rows = 6
    static let classCounts = [2, 3, 16, 17, 33, 3000]
    static let scale: Float = 0.125

    /// One row is ignored; another has a logit that dwarfs the others.
    private func logits(_ classes: Int) -> [Float] {
        var values = random(Self.rows * classes, "logits").map { 3 * $0 }
        values[2 * classes + 1] = 200
        return values
    }

    private func targets(_ classes: Int) -> [Int32] {
        (0..<Self.rows).map { $0 == 4 ? -100 : Int32($0 * 5 % classes) }
    }

    private func weights(_ classes: Int) -> [Float] {
        random(classes, "weights").map { abs($0) + 0.25 }
    }

    private func row(_ values: [Float], _ row: Int) -> [Double] {
        let width = values.count / Self.rows
        return values[row * width..<(row + 1) * width].map(Double.init)
    }

    private func crossEntropy(
        _ lab: Lab, _ classes: Int, weighted: Bool, smoothing: Float
    ) throws -> [Floats] {
        let (losses, gradient) = (
            try lab.result(Self.rows), try lab.result(Self.rows * classes)
        )
        try lab.context.crossEntropy(
            CrossEntropy(
                classWeights: weighted ? try lab.floats(weights(classes)) : nil,
                labelSmoothing: smoothing),
            logits: try lab.floats(logits(classes)), classes: classes,
            targets: try lab.integers(targets(classes)), scale: Self.scale, into: losses,
            gradient: gradient)
        return [losses, gradient]
    }

    @Test(arguments: Setting.all)
    func `every setting gives the bits of one scalar thread`(setting: Setting) throws {
        for classes in Self.classCounts {
            try expectScalarBits(setting, "\(classes) classes") { lab in
                let x = try lab.floats(logits(classes))
                let t = try lab.floats(random(Self.rows * classes, "t").map { $0 > 0 ? 1 : 0 })
                let results = try (0..<3).map { _ in try lab.result(Self.rows * classes) }
                let losses = try (0..<2).map { _ in try lab.result(Self.rows) }
                try lab.context.softmax(x, classes: classes, into: results[0])
                try lab.context.binaryCrossEntropy(
                    logits: x, targets: t, scale: Self.scale, into: losses[0],
                    gradient: results[1])
                try lab.context.squaredError(
                    x, targets: t, scale: Self.scale, into: losses[1], gradient: results[2])
                return results + losses
                    + (try crossEntropy(lab, classes, weighted: true, smoothing: 0.1))
                    + (try crossEntropy(lab, classes, weighted: false, smoothing: 0))
            }
        }
    }

    @Test(arguments: classCounts)
    func `softmax is that of the formula, in place too`(classes: Int) throws {
        let lab = try Lab()
        let x = try lab.floats(logits(classes))

        try lab.context.softmax(x, classes: classes, into: x)

        let found = lab.read(x)
        for index in 0..<Self.rows {
            let expected = logSoftmax(row(logits(classes), index)).map { exp($0) }
            let scale = expected.map { $0 + 1e-30 }
            let values = Array(found[index * classes..<(index + 1) * classes])
            #expect(firstMismatch(values, expected, tolerance: 4e-6, scale: scale) == nil)
        }
    }

    @Test(
        arguments: classCounts.prefix(5), [(false, Float(0)), (true, 0), (false, 0.1), (true, 0.3)])
    func `cross-entropy and its gradient are those of the formula`(
        classes: Int, setting: (weighted: Bool, smoothing: Float)
    ) throws {
        let lab = try Lab()
        let w =
            setting.weighted
            ? weights(classes).map(Double.init) : [Double](repeating: 1, count: classes)

        let found = try crossEntropy(
            lab, classes, weighted: setting.weighted, smoothing: setting.smoothing
        ).map(lab.read)

        for index in 0..<Self.rows {
            let target = Int(targets(classes)[index])
            let values = row(logits(classes), index)
            let loss = { (x: [Double]) in
                target < 0
                    ? 0 : rowLoss(x, target, w, Double(setting.smoothing))
            }
            let gradient = centralDifference(at: values, of: loss).map { $0 * Double(Self.scale) }
            #expect(abs(Double(found[0][index]) - loss(values)) <= 4e-6 * (1 + loss(values)))
            let part = Array(found[1][index * classes..<(index + 1) * classes])
            #expect(firstMismatch(part, gradient, tolerance: 1e-6) == nil)
        }
    }

    @Test(arguments: [0, 5])
    func `a row does not see the others`(index: Int) throws {
        let lab = try Lab(Setting(isa: .best, threads: 2))
        let classes = 3000
        let t = random(Self.rows * classes, "t").map { min(max($0, 0), 1) }
        func results(_ rows: Range<Int>) throws -> [[Float]] {
            let range = rows.lowerBound * classes..<rows.upperBound * classes
            let x = try lab.floats(Array(logits(classes)[range]))
            let targets = try lab.floats(Array(t[range]))
            let wide = try (0..<4).map { _ in try lab.result(range.count) }
            let losses = try (0..<3).map { _ in try lab.result(rows.count) }
            try lab.context.softmax(x, classes: classes, into: wide[0])
            try lab.context.crossEntropy(
                CrossEntropy(labelSmoothing: 0.1), logits: x, classes: classes,
                targets: try lab.integers(Array(self.targets(classes)[rows])), into: losses[0],
                gradient: wide[1])
            try lab.context.binaryCrossEntropy(
                logits: x, targets: targets, into: losses[1], gradient: wide[2])
            try lab.context.squaredError(
                x, targets: targets, into: losses[2], gradient: wide[3])
            return (wide + losses).map(lab.read)
        }

        let (all, alone) = (try results(0..<Self.rows), try results(index..<index + 1))

        for (whole, row) in zip(all, alone) {
            let width = row.count
            let part = Array(whole[index * width..<(index + 1) * width])
            #expect(bitMismatch(part, row) == nil)
        }
    }

    @Test(arguments: ISA.supported)
    func `the gradient may take the place of the logits or be left out`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let expected = try crossEntropy(lab, 33, weighted: false, smoothing: 0.1).map(lab.read)
        let x = try lab.floats(logits(33))
        let (losses, alone) = (try lab.result(Self.rows), try lab.result(Self.rows))
        let targets = try lab.integers(targets(33))

        try lab.context.crossEntropy(
            CrossEntropy(labelSmoothing: 0.1), logits: x, classes: 33, targets: targets,
            scale: Self.scale, into: alone)
        try lab.context.crossEntropy(
            CrossEntropy(labelSmoothing: 0.1), logits: x, classes: 33, targets: targets,
            scale: Self.scale, into: losses, gradient: x)

        #expect(bitMismatch(lab.read(alone), expected[0]) == nil)
        #expect(bitMismatch(lab.read(losses), expected[0]) == nil)
        #expect(bitMismatch(lab.read(x), expected[1]) == nil)
    }

    @Test(arguments: [Int32(3), -1, .max, .min])
    func `a target outside of the classes is refused and nothing is written`(
        target: Int32
    ) throws {
        let lab = try Lab(Setting(isa: .best, threads: 2))
        let (losses, gradient) = (try lab.result(2), try lab.result(6))

        #expect(throws: KernelError.invalidOperand(operation: "crossEntropy")) {
            try lab.context.crossEntropy(
                CrossEntropy(), logits: try lab.floats([1, 2, 3, 4, 5, 6]), classes: 3,
                targets: try lab.integers([0, target]), into: losses, gradient: gradient)
        }

        #expect(lab.read(losses).allSatisfy { $0.isNaN })
        #expect(lab.read(gradient).allSatisfy { $0.isNaN })
    }

    @Test(arguments: [1, 5, 16, 33])
    func `binary cross-entropy and squared error are those of the formula`(columns: Int) throws {
        let lab = try Lab()
        let count = Self.rows * columns
        var x = random(count, "x").map { 4 * $0 }
        x[0] = 100
        x[count - 1] = -100
        let t = random(count, "t").map { min(max($0, 0), 1) }
        let losses = [try lab.result(Self.rows), try lab.result(Self.rows)]
        let gradients = [try lab.result(count), try lab.result(count)]

        try lab.context.binaryCrossEntropy(
            logits: try lab.floats(x), targets: try lab.floats(t), scale: Self.scale,
            into: losses[0], gradient: gradients[0])
        try lab.context.squaredError(
            try lab.floats(x), targets: try lab.floats(t), scale: Self.scale, into: losses[1],
            gradient: gradients[1])

        let functions: [([Double], [Double]) -> Double] = [
            binaryCrossEntropy,
            { x, t in zip(x, t).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } },
        ]
        for (which, function) in functions.enumerated() {
            for index in 0..<Self.rows {
                let (values, wanted) = (row(x, index), row(t, index))
                let loss = function(values, wanted)
                let gradient = centralDifference(at: values) { function($0, wanted) }
                let part = lab.read(gradients[which])[index * columns..<(index + 1) * columns]
                #expect(
                    abs(Double(lab.read(losses[which])[index]) - loss) <= 2e-6 * (1 + loss))
                #expect(
                    firstMismatch(
                        Array(part), gradient.map { $0 * Double(Self.scale) }, tolerance: 3e-6,
                        scale: gradient.map { 1 + abs($0) }) == nil)
            }
        }
    }

    @Test(arguments: ISA.supported)
    func `NaN stays in its row`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        var x = [Float](repeating: 0, count: 3 * 20)
        x[20 + 19] = .nan
        let (p, losses, gradient) = (try lab.result(60), try lab.result(3), try lab.result(60))

        try lab.context.softmax(try lab.floats(x), classes: 20, into: p)
        try lab.context.crossEntropy(
            CrossEntropy(), logits: try lab.floats(x), classes: 20,
            targets: try lab.integers([0, 1, 2]), into: losses, gradient: gradient)

        #expect(lab.read(losses).map(\.isNaN) == [false, true, false])
        for found in [lab.read(p), lab.read(gradient)] {
            #expect(found.indices.allSatisfy { found[$0].isNaN == ($0 / 20 == 1) })
        }
    }
}
