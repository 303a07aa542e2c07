// SPDX-License-Identifier: Apache-2.0
/// One number for everything that a run's future depends on.

import CairnFormats
import CairnGraph
import CairnTensor
import Foundation

/// SHA-256 over the bits of every trainable parameter, optimizer slot and counter, by name.
///
/// Equal digests mean that two runs go on alike. The bytes are, for each parameter in order of
/// name: the name, a zero byte, and the little-endian fp32 bits of the parameter and of its slots
/// in order of their names; then the number of steps taken, as eight little-endian bytes.
public enum StateDigest {
    /// The digest of the optimizer's state and of the parameters that it moves, where they lie: a
    /// save may hold a copy of them already.
    public static func of(_ optimizer: Optimizer) -> String {
        var hash = SHA256()
        optimizer.withStateBytes(begin: { hash.update(Self.title($0)) }, { hash.update($0) })
        hash.update(Self.counter(optimizer.step))
        return hash.hex
    }

    /// The digest of a state on the host: what trains, by the model's own names, and its slots.
    public static func of(
        parameters: [String: Tensor], optimizer: OptimizerState
    ) -> String {
        beside(parameters: parameters, optimizer: optimizer).hex
    }

    /// The digest, to be taken while the state is written to files.
    static func beside(
        parameters: [String: Tensor], optimizer: OptimizerState
    ) -> SideDigest {
        var parts: [SideDigest.Part] = []
        for (name, tensor) in parameters.sorted(by: { $0.key < $1.key }) {
            parts.append(.bytes(title(name)))
            parts.append(.tensor(tensor))
            let slots = (optimizer.slots[name] ?? [:]).sorted { $0.key < $1.key }
            parts += slots.map { .tensor($0.value) }
        }
        return SideDigest(parts + [.bytes(counter(optimizer.step))])
    }

    private static func title(_ name: String) -> [UInt8] { Array(name.utf8) + [0] }

    private static func counter(_ step: UInt64) -> [UInt8] {
        withUnsafeBytes(of: step.littleEndian, Array.init)
    }
}
