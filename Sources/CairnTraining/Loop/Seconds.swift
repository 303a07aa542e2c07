// SPDX-License-Identifier: Apache-2.0
/// Lengths of time as the reports state them.

extension Duration {
    /// The length in seconds.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
