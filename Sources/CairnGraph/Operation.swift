// SPDX-License-Identifier: Apache-2.0
/// The contract of an operation: how rows move through it, its gradient, its kernel call.

import CairnEngine

/// How the rows of an input relate to the rows of the output.
package enum RowRule: Sendable {
    /// Row i of the output reads row i of the input, and nothing else of it.
    case follows
    /// A row of the output may read any row of the input.
    case whole
}

/// One of a closed set. Each conforming type stands in `Operations/` with its gradient and its
/// kernel call side by side; the shapes are checked by the `Graph` method that records it.
package protocol Operation: Sendable {
    /// How each input's rows relate to the output's; empty for an operation that may not move.
    var rowRules: [RowRule] { get }

    /// The parameters read.
    var parameters: [ParameterReference] { get }

    /// The input whose memory the first output may take over when nothing else reads it.
    var inPlaceInput: Int? { get }

    /// The gradients written, by operations of the backward pass.
    var gradientSlots: [GradientSlot] { get }

    /// Records the gradients of the inputs and of the parameters that train.
    ///
    /// `gradients` holds one entry per output, nil where nothing flows back.
    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder)

    /// Multiply-adds of matrix products on a batch; see `Cost`.
    func multiplyAdds(_ node: Node, _ batch: Batch) -> Int

    /// Calls the kernels.
    func run(_ node: Node, _ execution: Execution) throws(KernelError)
}

extension Operation {
    package var rowRules: [RowRule] { [] }
    package var parameters: [ParameterReference] { [] }
    package var inPlaceInput: Int? { nil }
    package var gradientSlots: [GradientSlot] { [] }

    /// Operations of the backward pass have no gradient of their own.
    package func backward(
        _ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder
    ) {
        preconditionFailure("\(Self.self) has no gradient: nothing may flow back through it")
    }
}
