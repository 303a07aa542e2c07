// SPDX-License-Identifier: Apache-2.0
/// The Marshal form of a checkpoint, of which only one tensor at a time is spelled out in memory.

/// Writes the hash that `MLXRubyCheckpoint` describes.
struct MarshalCheckpointWriter {
    private let codec = PayloadCodec<MarshalValue>(file: "Marshal")
    private var writer = MarshalWriter()

    static func write(
        _ checkpoint: MLXRubyCheckpoint, to sink: inout some ByteSink
    ) throws(FormatError) {
        var writer = MarshalCheckpointWriter()
        try writer.write(checkpoint, to: &sink)
    }

    private mutating func write(
        _ checkpoint: MLXRubyCheckpoint, to sink: inout some ByteSink
    ) throws(FormatError) {
        let model = try codec.tree(of: checkpoint.tensors).members
        let metadata = try codec.value(of: .object(checkpoint.metadata), at: "metadata")
        var states: [State] = []
        for state in checkpoint.optimizer?.states ?? [] {
            states.append(try codec.parts(of: state))
        }
        try writer.beginHash(count: checkpoint.optimizer == nil ? 3 : 4)
        try write("format", .text(MLXRubyCheckpoint.marshalFormat), to: &sink)
        try writer.write(.text("model"), to: &sink)
        try writer.beginHash(count: model.count)
        try write(model, to: &sink)
        writer.end()
        try write("metadata", metadata, to: &sink)
        if let optimizer = checkpoint.optimizer {
            try writer.write(.text("optimizer"), to: &sink)
            try write(optimizer, states, to: &sink)
        }
        writer.end()
        try writer.finish(to: &sink)
    }

    // MARK: Optimizers

    private typealias State = (
        scalars: [(key: String, value: MarshalValue)], slots: [(key: String, node: PayloadNode)]
    )

    private mutating func write(
        _ optimizer: MLXRubyOptimizer, _ states: [State], to sink: inout some ByteSink
    ) throws(FormatError) {
        guard case .multiple = optimizer else { return try write(states[0], to: &sink) }
        try writer.beginHash(count: 1)
        try writer.write(.text(PayloadCodec<MarshalValue>.statesKey), to: &sink)
        try writer.beginArray(count: states.count)
        for state in states { try write(state, to: &sink) }
        writer.end()
        writer.end()
    }

    private mutating func write(
        _ state: State, to sink: inout some ByteSink
    ) throws(FormatError) {
        try writer.beginHash(count: state.scalars.count + state.slots.count)
        for (key, value) in state.scalars { try write(key, value, to: &sink) }
        try write(state.slots, to: &sink)
        writer.end()
    }

    // MARK: Trees

    private mutating func write(
        _ key: String, _ value: MarshalValue, to sink: inout some ByteSink
    ) throws(FormatError) {
        try writer.write(.text(key), to: &sink)
        try writer.write(value, to: &sink)
    }

    private mutating func write(
        _ members: [(key: String, node: PayloadNode)], to sink: inout some ByteSink
    ) throws(FormatError) {
        for (key, node) in members {
            try writer.write(.text(key), to: &sink)
            try write(node, to: &sink)
        }
    }

    private mutating func write(
        _ node: PayloadNode, to sink: inout some ByteSink
    ) throws(FormatError) {
        switch node.content {
        case .leaf(let name, let tensor):
            return try writer.write(try codec.record(of: tensor, at: name), to: &sink)
        case .list(let nodes):
            try writer.beginArray(count: nodes.count)
            for node in nodes { try write(node, to: &sink) }
        case .members(let members):
            try writer.beginHash(count: members.count)
            try write(members, to: &sink)
        }
        writer.end()
    }
}
