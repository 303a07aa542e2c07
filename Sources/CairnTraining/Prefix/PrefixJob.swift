// SPDX-License-Identifier: Apache-2.0
/// A job's frozen prefix: whether it is kept, where, and under which key.

import CairnFormats
import CairnGraph
import Foundation

extension FineTuneJob {
    /// In the run's directory; hidden entries are no checkpoints.
    static let prefixFile = ".prefix-rows"

    var prefixURL: URL { options.output.appendingPathComponent(Self.prefixFile) }

    /// Every row whose prefix the run asks for, with the count of its numbers.
    private func prefixRows(_ reuse: PrefixReuse) -> [(PrefixRow, count: Int)] {
        [tuner.train, tuner.validation].flatMap { data in
            (0..<data.count).map {
                (PrefixRow(data, $0), reuse.count(tokens: data.ids[$0].count))
            }
        }
    }

    /// Bytes of the file that a run keeps; 0 when it keeps none.
    var prefixBytes: Int {
        guard keepsPrefix, let reuse = tuner.prefix else { return 0 }
        return PrefixStore.byteCount(prefixRows(reuse))
    }

    /// Whether anything would be read again: in the last epoch what an earlier start left, and
    /// after it nothing, unless for another run.
    private var wantsPrefix: Bool {
        switch options.prefix {
        case .off: false
        case .keep: tuner.prefix != nil
        case .auto:
            tuner.prefix != nil
                && (tuner.settings.epochs > tuner.state.epoch
                    || FileManager.default.fileExists(atPath: prefixURL.path))
        }
    }

    /// Decides whether to keep the prefix, and says why.
    func decidePrefix() throws -> (keeps: Bool, note: String?) {
        if options.prefix == .keep, tuner.ranks.size > 1 {
            return (false, "with several ranks a frozen prefix is computed in every epoch")
        }
        guard wantsPrefix, let reuse = tuner.prefix else { return (false, nil) }
        let share = "\(Int((100 * reuse.share).rounded())) % of the forward pass"
        let bytes = PrefixStore.byteCount(prefixRows(reuse))
        let free = try Volume.freeBytes(at: options.output) - checkpointBytes * 2
        guard bytes <= free else {
            return (
                false,
                "\(share) does not train; keeping what it gives takes \(ByteSize(bytes)), which "
                    + "\(options.output.path) has no room for: it is computed in every epoch"
            )
        }
        return (
            true,
            "\(share) does not train: it is computed once for each row, and kept in "
                + "\(prefixURL.path) (\(ByteSize(bytes)))"
        )
    }

    /// Opens the file and gives it to the loop; a run does not fail for want of it.
    func openPrefix(_ note: (String) -> Void) {
        guard keepsPrefix, let reuse = tuner.prefix else { return }
        do {
            let store = try PrefixStore(
                prefixURL, key: prefixKey(reuse), rows: prefixRows(reuse))
            reuse.keep(in: store)
        } catch {
            note("\(error); the frozen prefix is computed in every epoch")
        }
    }

    /// Everything that the numbers depend on besides the row itself, which has its digest too.
    private func prefixKey(_ reuse: PrefixReuse) -> [UInt8] {
        let inputs = description.inputs?.values ?? [:]
        let lines =
            [
                "prefix 1", "numerics \(CairnVersion.numerics)", options.device.engine,
                tuner.settings.precision.rawValue, "\(tuner.pooling)",
                "base \(inputs["base"] ?? "")", "codes \(inputs["coded-base"] ?? "")",
                "tokenizer \(inputs["tokenizer"] ?? "")",
            ]
            + [tuner.train, tuner.validation].map { $0.digest(of: Array(0..<$0.count)) }
            + [reuse.prefix.text]
        var hash = SHA256()
        hash.update(Data(lines.joined(separator: "\n").utf8))
        return hash.digest
    }

    /// Leaves the file for a resume, or for another run when that was asked for; else removes it.
    func closePrefix(isOver: Bool, _ note: (String) -> Void) {
        guard let reuse = tuner.prefix, let store = reuse.store else { return }
        store.notes.forEach(note)
        if isOver, options.prefix != .keep {
            store.remove()
        } else {
            store.seal()
        }
        reuse.keep(in: nil)
    }
}
