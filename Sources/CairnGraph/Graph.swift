// SPDX-License-Identifier: Apache-2.0
/// A recording of what a model computes, in the order in which it was called.

/// A list of operations on symbolic matrices.
///
/// Layers call the methods of `Operations/`, which check shapes and append nodes. Shapes are the
/// caller's code, never data, so a mismatch traps with both sides named.
public struct Graph: Sendable {
    package internal(set) var nodes: [Node] = []
    package internal(set) var constants: [[Float]] = []
    package private(set) var valueCount = 0

    /// A graph without operations.
    public init() {}

    /// Keeps numbers for the kernels; equal ones are kept once.
    package mutating func constant(_ numbers: [Float]) -> Constant {
        if let index = constants.firstIndex(of: numbers) {
            return Constant(index: index, count: numbers.count)
        }
        constants.append(numbers)
        return Constant(index: constants.count - 1, count: numbers.count)
    }

    package mutating func value(_ rows: RowSpace, _ columns: Int) -> Value {
        precondition(columns > 0, "a value has at least one column, got \(columns)")
        defer { valueCount += 1 }
        return Value(id: valueCount, rows: rows, columns: columns)
    }

    /// Appends a node and returns its outputs, which have the given rows and widths.
    @discardableResult
    package mutating func record(
        _ operation: any Operation, _ inputs: [Value], _ outputs: [(RowSpace, Int)]
    ) -> [Value] {
        let values = outputs.map { value($0.0, $0.1) }
        nodes.append(Node(operation: operation, inputs: inputs, outputs: values))
        return values
    }

    /// The parameters read, each once, in the order of their first use.
    public var parameters: [ParameterReference] {
        var seen = Set<String>()
        return nodes.flatMap(\.operation.parameters).filter { seen.insert($0.name).inserted }
    }

    /// Traps unless two values have the same shape.
    package func requireSameShape(_ a: Value, _ b: Value, _ what: StaticString) {
        precondition(
            a.rows == b.rows && a.columns == b.columns,
            "\(what): [\(a.rows), \(a.columns)] against [\(b.rows), \(b.columns)]")
    }
}
