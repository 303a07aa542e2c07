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
    public static func of(_ optimizer: Optimizer, _ parameters: Parameters) -> String {
        let names = parameters.trainableNames
        return of(
            parameters: Dictionary(
                uniqueKeysWithValues: names.map { ($0, parameters.tensor($0)) }),
            optimizer: optimizer.state)
    }

    /// The digest of a state on the host: what trains, by the model's own names, and its slots.
    public static func of(
        parameters: [String: Tensor], optimizer: OptimizerState
    ) -> String {
        var hash = SHA256()
        for (name, tensor) in parameters.sorted(by: { $0.key < $1.key }) {
            hash.update(Array(name.utf8) + [0])
            let slots = (optimizer.slots[name] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
            for tensor in [tensor] + slots { tensor.withBytes { hash.update($0) } }
        }
        withUnsafeBytes(of: optimizer.step.littleEndian) { hash.update($0) }
        return hash.hex
    }
}
