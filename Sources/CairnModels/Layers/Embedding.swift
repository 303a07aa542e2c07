// SPDX-License-Identifier: Apache-2.0
/// Tables of rows by id, and rotary position embedding.

import CairnGraph

/// y[t] = table[index[t]]: the table is `NAME.weight` [vocabulary, width].
struct Embedding: Sendable {
    let name: String
    let vocabulary: Int
    let width: Int
    let index: IndexInput
    var deviation: Float = 0.02

    var specification: ParameterSpecification {
        ParameterSpecification(
            name + ".weight", [vocabulary, width], .normal(deviation: deviation))
    }

    func callAsFunction(_ recorder: inout Recorder) -> Value {
        let table = recorder.reference(specification)
        return recorder.graph.embedding(index, table: table)
    }
}

/// What a pair of rotary tables depends on.
struct RopeKey: Hashable, Sendable {
    let positions: Int
    let half: Int
}

/// cos and sin of position times frequency, [positions, half].
struct RopeTables: Sendable {
    let cosine: Constant
    let sine: Constant
}

extension RopeConfiguration {
    /// The angle per position of each pair of features: theta^(-j / half), scaled.
    ///
    /// Source: Su et al. 2021 (arXiv:2104.09864); Llama 3.1's scaling as in transformers.
    package func frequencies(half: Int) -> [Double] {
        (0..<half).map { j in
            let frequency = Graph.power(theta, -Double(j) / Double(half))
            switch scaling {
            case .none: return frequency
            case .linear(let factor): return frequency / factor
            case .llama3(let factor, let low, let high, let original):
                let wavelength = 2 * Double.pi / frequency
                if wavelength < original / high { return frequency }
                if wavelength > original / low { return frequency / factor }
                let smooth = (original / wavelength - low) / (high - low)
                return (1 - smooth) * frequency / factor + smooth * frequency
            }
        }
    }
}

extension Recorder {
    /// Rotates the heads of `x`; the tables are made once per recording.
    mutating func rope(
        _ x: Value, heads: Int, half: Int, positions: Int, _ configuration: RopeConfiguration
    ) -> Value {
        let key = RopeKey(positions: positions, half: half)
        if ropeTables[key] == nil {
            let tables = graph.ropeTables(
                positions: positions, frequencies: configuration.frequencies(half: half))
            ropeTables[key] = RopeTables(cosine: tables.cosine, sine: tables.sine)
        }
        let tables = ropeTables[key]!
        return graph.rope(x, heads: heads, half: half, cosine: tables.cosine, sine: tables.sine)
    }
}
