// SPDX-License-Identifier: Apache-2.0
/// Activations and gated units against their formulas in double, and bits across settings.

import CairnEngine
import Foundation
import TestSupport
import Testing

extension Activation {
    /// The function in double.
    fileprivate func value(_ x: Double) -> Double {
        switch self {
        case .silu: x / (1 + exp(-x))
        case .gelu: x * erfc(-x / 2.0.squareRoot()) / 2
        case .geluTanh:
            x * (1 + Foundation.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x))) / 2
        case .relu: max(x, 0)
        case .tanh: Foundation.tanh(x)
        }
    }

    /// Its derivative, by a central difference; at 0 that of relu is taken to be 0.
    fileprivate func slope(_ x: Double) -> Double {
        self == .relu ? (x > 0 ? 1 : 0) : (value(x + 1e-5) - value(x - 1e-5)) / 2e-5
    }
}

@Suite struct ActivationTests {
    /// A fine grid over the curved part, and the flat parts on both sides; several tasks long.
    static let grid: [Float] =
        (-10_000...10_000).map { Float($0) / 800 }
        + [-88, -60, -30, -20, 20, 30, 60, 88, 1e-6, -1e-6]

    private func results(_ lab: Lab, _ function: Activation, _ count: Int) throws -> [Floats] {
        let x = try lab.floats(random(count, "x").map { 3 * $0 })
        let (up, dy) = (try lab.floats(random(count, "up")), try lab.floats(random(count, "dy")))
        let results = try (0..<5).map { _ in try lab.result(count) }
        try lab.context.activationForward(function, x, into: results[0])
        try lab.context.activationBackward(function, x, dy: dy, into: results[1])
        try lab.context.gatedForward(function, gate: x, up: up, into: results[2])
        try lab.context.gatedBackward(
            function, gate: x, up: up, dy: dy, intoGate: results[3], up: results[4])
        return results
    }

    @Test(arguments: Setting.all, Activation.allCases)
    func `every setting gives the bits of one scalar thread`(
        setting: Setting, function: Activation
    ) throws {
        for count in lengths.filter({ $0 < 10_000 || function == .silu }) {
            try expectScalarBits(setting, "\(function), \(count)") {
                try results($0, function, count)
            }
        }
    }

    /// A choice between x and 0 alone would keep them on some instruction sets and not on others.
    @Test(arguments: Setting.all)
    func `relu flushes denormals as arithmetic does`(setting: Setting) throws {
        let lab = try Lab(setting)
        let tiny = Float.leastNormalMagnitude / 4
        let numbers: [Float] = [tiny, -tiny, .leastNonzeroMagnitude, 1, -1]
        let y = try lab.result(numbers.count)

        try lab.context.activationForward(.relu, try lab.floats(numbers), into: y)

        #expect(lab.context.read(y) == [0, 0, 0, 1, 0])
    }

    @Test(arguments: Activation.allCases)
    func `values are those of the formula`(function: Activation) throws {
        let lab = try Lab()
        let y = try lab.result(Self.grid.count)

        try lab.context.activationForward(function, try lab.floats(Self.grid), into: y)

        let expected = Self.grid.map { function.value(Double($0)) }
        // Relative to |x|, as 1 + erf and 1 + tanh cancel for negative x.
        let scale = Self.grid.map { min(1, Double(abs($0))) + abs(function.value(Double($0))) }
        #expect(firstMismatch(lab.read(y), expected, tolerance: 5e-7, scale: scale) == nil)
    }

    @Test(arguments: Activation.allCases)
    func `gradients are the slope of the formula`(function: Activation) throws {
        let lab = try Lab()
        let dx = try lab.result(Self.grid.count)
        let dy = random(Self.grid.count, "dy")

        try lab.context.activationBackward(
            function, try lab.floats(Self.grid), dy: try lab.floats(dy), into: dx)

        let expected = zip(Self.grid, dy).map { function.slope(Double($0)) * Double($1) }
        #expect(
            firstMismatch(
                lab.read(dx), expected, tolerance: 2e-6, scale: dy.map { abs(Double($0)) }) == nil)
    }

    @Test(arguments: ISA.supported, Activation.allCases)
    func `a gated unit is the activation times up, forward and backward`(
        isa: ISA, function: Activation
    ) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let count = Self.grid.count
        let (up, dy) = (random(count, "up"), random(count, "dy"))
        let gate = try lab.floats(Self.grid)
        let results = try (0..<3).map { _ in try lab.result(count) }

        try lab.context.gatedForward(function, gate: gate, up: try lab.floats(up), into: results[0])
        try lab.context.gatedBackward(
            function, gate: gate, up: try lab.floats(up), dy: try lab.floats(dy),
            intoGate: results[1], up: results[2])

        let x = Self.grid.map(Double.init)
        let (u, d) = (up.map(Double.init), dy.map(Double.init))
        let expected = [
            x.indices.map { function.value(x[$0]) * u[$0] },
            x.indices.map { d[$0] * u[$0] * function.slope(x[$0]) },
            x.indices.map { d[$0] * function.value(x[$0]) },
        ]
        let scales = [
            x.indices.map { (1 + abs(x[$0])) * abs(u[$0]) }, x.indices.map { abs(d[$0] * u[$0]) },
            x.indices.map { (1 + abs(x[$0])) * abs(d[$0]) },
        ]
        for index in 0..<3 {
            #expect(
                firstMismatch(
                    lab.read(results[index]), expected[index], tolerance: 2e-6,
                    scale: scales[index]) == nil, "result \(index)")
        }
    }

    @Test(arguments: ISA.supported, Activation.allCases)
    func `NaN stays NaN and large numbers saturate`(isa: ISA, function: Activation) throws {
        let lab = try Lab(Setting(isa: isa, threads: 1))
        let x: [Float] = [.nan, .infinity, 1e30, -1e4, 0]
        let y = try lab.result(20)
        let inputs = (0..<20).map { x[$0 % 5] }
        let dx = try lab.result(20)

        try lab.context.activationForward(function, try lab.floats(inputs), into: y)
        try lab.context.activationBackward(
            function, try lab.floats(inputs), dy: try lab.floats([Float](repeating: 1, count: 20)),
            into: dx)

        for (index, value) in lab.read(y).enumerated() {
            switch index % 5 {
            case 0: #expect(value.isNaN && lab.read(dx)[index].isNaN)
            case 1: #expect(value == (function == .tanh ? 1 : .infinity))
            case 2: #expect(value == (function == .tanh ? 1 : 1e30))
            case 3: #expect(value == (function == .tanh ? -1 : 0))
            default: #expect(value == 0)
            }
        }
    }
}
