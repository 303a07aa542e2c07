// SPDX-License-Identifier: Apache-2.0
/// One number for everything that a run's future depends on.

import CairnFormats
import CairnGraph
import CairnTensor
import Foundation

/// SHA-256 over the bits of every trainable parameter, optimizer slot and counter, by name.
///
/// Equal digests mean that two runs go on alike. The bytes are, for each parameter in order of
/// name: the name, a zero byte, and the little-endian fp32 bits of the parameter, of the first and
/// of the second moment; then the number of steps taken, as eight little-endian bytes.
public enum StateDigest {
    public static func of(_ optimizer: AdamW, _ parameters: Parameters) -> String {
        var hash = SHA256()
        for name in parameters.trainableNames {
            hash.update(Array(name.utf8) + [0])
            let moments = optimizer.moments(of: name)
            for tensor in [parameters.tensor(name), moments.first, moments.second] {
                tensor.withBytes { hash.update($0) }
            }
        }
        withUnsafeBytes(of: optimizer.step.littleEndian) { hash.update($0) }
        return hash.hex
    }
}
