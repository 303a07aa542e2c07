// SPDX-License-Identifier: Apache-2.0
/// The Marshal form of a checkpoint, of which only one tensor at a time is spelled out in memory.

/// The hash that `MLXRubyCheckpoint` describes, checked in full before anything is written.
package struct MarshalCheckpointWriter {
    private typealias Value = (key: String, value: MarshalValue)
    private typealias Node = (key: String, node: PayloadNode)

    private let codec = PayloadCodec<MarshalValue>(file: "Marshal")
    private let model: [Node]
    private let metadata: MarshalValue
    private let states: [(scalars: [Value], slots: [Node])]
    private let optimizer: MLXRubyOptimizer?
    private let additions: [Value]

    /// Fails on a type that array records lack, on names of which one continues another, and on
    /// a parameter of the optimizer that has the name of a scalar.
    package init(_ checkpoint: MLXRubyCheckpoint) throws(FormatError) {
        model = try codec.tree(of: checkpoint.tensors).members
        metadata = try codec.value(of: .object(checkpoint.metadata), at: "metadata")
        optimizer = checkpoint.optimizer
        var states: [(scalars: [Value], slots: [Node])] = []
        for state in checkpoint.optimizer?.states ?? [] {
            states.append(try codec.parts(of: state))
        }
        self.states = states
        var additions: [Value] = []
        for (key, value) in checkpoint.additions {
            additions.append((key, try codec.value(of: value, at: key)))
        }
        self.additions = additions
    }

    package func write(to sink: inout some ByteSink) throws(FormatError) {
        var writer = MarshalWriter()
        try writer.beginHash(count: (optimizer == nil ? 3 : 4) + additions.count)
        let format = MarshalValue.text(MLXRubyCheckpoint.marshalFormat)
        try write([("format", format)], with: &writer, to: &sink)
        try writer.write(.text("model"), to: &sink)
        try writer.beginHash(count: model.count)
        try write(model, with: &writer, to: &sink)
        writer.end()
        try write([("metadata", metadata)], with: &writer, to: &sink)
        if let optimizer {
            try writer.write(.text("optimizer"), to: &sink)
            try write(optimizer, with: &writer, to: &sink)
        }
        try write(additions, with: &writer, to: &sink)
        writer.end()
        try writer.finish(to: &sink)
    }

    private func write(
        _ optimizer: MLXRubyOptimizer, with writer: inout MarshalWriter,
        to sink: inout some ByteSink
    ) throws(FormatError) {
        if case .multiple = optimizer {
            try writer.beginHash(count: 1)
            try writer.write(.text(PayloadCodec<MarshalValue>.statesKey), to: &sink)
            try writer.beginArray(count: states.count)
        }
        for state in states {
            try writer.beginHash(count: state.scalars.count + state.slots.count)
            try write(state.scalars, with: &writer, to: &sink)
            try write(state.slots, with: &writer, to: &sink)
            writer.end()
        }
        if case .multiple = optimizer {
            writer.end()
            writer.end()
        }
    }

    private func write(
        _ members: [Value], with writer: inout MarshalWriter, to sink: inout some ByteSink
    ) throws(FormatError) {
        for (key, value) in members {
            try writer.write(.text(key), to: &sink)
            try writer.write(value, to: &sink)
        }
    }

    private func write(
        _ members: [Node], with writer: inout MarshalWriter, to sink: inout some ByteSink
    ) throws(FormatError) {
        for (key, node) in members {
            try writer.write(.text(key), to: &sink)
            try write(node, with: &writer, to: &sink)
        }
    }

    private func write(
        _ node: PayloadNode, with writer: inout MarshalWriter, to sink: inout some ByteSink
    ) throws(FormatError) {
        switch node.content {
        case .leaf(let name, let tensor):
            return try writer.write(try codec.record(of: tensor, at: name), to: &sink)
        case .list(let nodes):
            try writer.beginArray(count: nodes.count)
            for node in nodes { try write(node, with: &writer, to: &sink) }
        case .members(let members):
            try writer.beginHash(count: members.count)
            try write(members, with: &writer, to: &sink)
        }
        writer.end()
    }
}
