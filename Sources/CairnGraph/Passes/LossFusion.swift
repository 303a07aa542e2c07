// SPDX-License-Identifier: Apache-2.0
/// A linear layer whose outputs only a cross-entropy reads becomes one operation with it.

extension Graph {
    /// Replaces the layer that gives `logits` by one that gives their losses.
    ///
    /// - Parameters:
    ///   - kept: values that are asked for besides the losses.
    ///   - chunk: rows whose logits are in memory at once; nil chooses by the number of classes.
    /// - Returns: the graph, the losses, and the value whose gradient is known with that gradient;
    ///   nil when the logits are read elsewhere too, or come from something else.
    func lossFused(
        _ loss: Loss, _ logits: Value, kept: [Value], differentiates: Bool, chunk: Int? = nil
    ) -> (graph: Graph, losses: Value, seed: (value: Value, gradient: Value)?)? {
        guard case .crossEntropy(nil, let smoothing, let ignored) = loss,
            let index = nodes.firstIndex(where: { $0.outputs.contains(logits) }),
            let layer = nodes[index].operation as? Linear, layer.pair == nil, layer.bias == nil,
            !kept.contains(logits), !nodes.contains(where: { $0.inputs.contains(logits) })
        else { return nil }
        let x = nodes[index].inputs[0]
        let classes = logits.columns
        let rows = chunk ?? LinearLoss.chunk(classes: classes)
        var result = self
        result.nodes.remove(at: index)
        let outputs = result.record(
            LinearLoss(
                weight: layer.weight, labelSmoothing: smoothing, ignoreIndex: ignored, chunk: rows,
                computesGradients: differentiates),
            [x],
            [(x.rows, 1)] + (differentiates ? [(x.rows, x.columns)] : [])
                + [(.single, rows * classes)])
        return (result, outputs[0], differentiates ? (x, outputs[1]) : nil)
    }
}
