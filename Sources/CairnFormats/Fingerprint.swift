// SPDX-License-Identifier: Apache-2.0
/// The quick name of a state: 128 bits, at the speed of memory.

internal import CCairnDigest
import Foundation

/// A fingerprint of several buffers in order, each taken whole.
///
/// A change within one aligned word of 8 bytes always gives another fingerprint; other changes go
/// unnoticed with the odds of 2^-64 where their words are all whole multiples of 64 bytes apart,
/// else of 2^-128. It finds damage and drift, not forgery: names that must withstand an adversary
/// are `SHA256`'s. Where the buffers begin and end counts, unlike there.
///
/// Source: `cairn_fingerprint` in csrc/digest, which has the formula.
public struct Fingerprint: Equatable, Sendable {
    private var words: (UInt64, UInt64) = (0, 0)

    /// The fingerprint of nothing yet.
    public init() {}

    /// Takes the next buffer.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var empty: UInt8 = 0
        withUnsafeMutableBytes(of: &words) { state in
            let state = state.assumingMemoryBound(to: UInt64.self).baseAddress!  // two words
            if let start = bytes.baseAddress {
                cairn_fingerprint(
                    state, start.assumingMemoryBound(to: UInt8.self), bytes.count)
            } else {
                cairn_fingerprint(state, &empty, 0)
            }
        }
    }

    /// Adds bytes to those that came before.
    public mutating func update(_ data: some ContiguousBytes) {
        data.withUnsafeBytes { update($0) }
    }

    /// The fingerprint of all that came so far, in 32 lower-case hexadecimal digits.
    public var hex: String {
        [words.0, words.1].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Both words, little-endian: 16 bytes from which it can be made again.
    package var bytes: [UInt8] {
        [words.0, words.1].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
        }
    }

    /// The fingerprint that has these `bytes`.
    ///
    /// - Precondition: they are 16.
    package init(bytes: some Collection<UInt8>) {
        precondition(bytes.count == 16, "a fingerprint of \(bytes.count) bytes")
        func word(_ bytes: some Collection<UInt8>) -> UInt64 {
            bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        words = (word(bytes.prefix(8)), word(bytes.dropFirst(8)))
    }

    public static func == (a: Fingerprint, b: Fingerprint) -> Bool { a.words == b.words }
}
