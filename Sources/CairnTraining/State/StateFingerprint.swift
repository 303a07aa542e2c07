// SPDX-License-Identifier: Apache-2.0
/// A quick name for the state after a step, cheap enough for every one.

import CairnEngine
import CairnFormats
import CairnGraph

/// `Fingerprint` over the bits of every parameter that trains and of its slots, names in order.
///
/// Not cryptographic: it tells steps apart, and a bit that differs shows with the odds of 2^-64;
/// `StateDigest` is what checkpoints are proven by.
enum StateFingerprint {
    static func of(_ optimizer: Optimizer) -> String {
        var fingerprint = Fingerprint()
        optimizer.withStateBytes { fingerprint.update($0) }
        return fingerprint.hex
    }
}
