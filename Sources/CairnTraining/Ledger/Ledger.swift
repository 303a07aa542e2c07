// SPDX-License-Identifier: Apache-2.0
/// One line per step, chained by hash: what a run did, in a form that a replay can be held against.

import CairnFormats
import Foundation

/// What one optimizer step did.
public struct LedgerEntry: Sendable, Equatable {
    /// From 1.
    public var step: Int
    /// From 1.
    public var epoch: Int
    /// SHA-256 of the rows in the order of the step: token ids and targets.
    public var batch: String
    /// The mean loss of the step's rows.
    public var loss: Double
    /// The rate of the step.
    public var learningRate: Double
    /// Of all gradients together, before clipping.
    public var norm: Double
    /// `Fingerprint` of every parameter that trains and of every slot, after the step.
    public var state: String

    /// The members of the entry's line; numbers are written with all their bits.
    var members: JSONObject {
        [
            "step": JSONValue(step), "epoch": JSONValue(epoch), "batch": .string(batch),
            "loss": .number(loss), "learning_rate": .number(learningRate), "norm": .number(norm),
            "state": .string(state),
        ]
    }

    init(_ reader: DocumentReader) throws {
        step = try reader.count("step", atLeast: 1)
        epoch = try reader.count("epoch", atLeast: 1)
        batch = try reader.string("batch")
        loss = try reader.number("loss")
        learningRate = try reader.number("learning_rate")
        norm = try reader.number("norm")
        state = try reader.string("state")
    }

    /// What a step did.
    public init(
        step: Int, epoch: Int, batch: String, loss: Double, learningRate: Double, norm: Double,
        state: String
    ) {
        self.step = step
        self.epoch = epoch
        self.batch = batch
        self.loss = loss
        self.learningRate = learningRate
        self.norm = norm
        self.state = state
    }

    /// The first member in which two entries of a step differ: its name and the two values.
    public func difference(from other: LedgerEntry) -> (key: String, own: String, other: String)? {
        for (a, b) in zip(members, other.members) where a.value != b.value {
            func text(_ value: JSONValue) -> String {
                (try? value.serialized(pretty: false)).map { String(decoding: $0, as: UTF8.self) }
                    ?? "?"
            }
            return (a.key, text(a.value), text(b.value))
        }
        return nil
    }
}

/// The end of a ledger: how many lines and bytes, and the hash of the last line.
public struct LedgerPosition: Sendable, Equatable {
    /// Lines of the file.
    public var lines = 0
    /// Bytes of the file.
    public var bytes = 0
    /// 64 hexadecimal digits; of an empty ledger, zeros.
    public var head = String(repeating: "0", count: 64)

    /// The end of an empty ledger.
    public init() {}

    init(lines: Int, bytes: Int, head: String) {
        self.lines = lines
        self.bytes = bytes
        self.head = head
    }

    /// The line of an entry that follows this position, and the position after it.
    ///
    ///     {"step":..,..,"previous":"<hash of the line before>","hash":"<hash>"}
    ///
    /// The hash is SHA-256 over the line's text up to and without `,"hash"`.
    package func line(of entry: LedgerEntry) throws(FormatError) -> (
        line: Data, next: LedgerPosition
    ) {
        var members = entry.members
        members["previous"] = .string(head)
        var text = try JSONValue.object(members).serialized(pretty: false)
        text.removeLast()
        let hash = SHA256.hex(of: text)
        text.append(contentsOf: ",\"hash\":\"\(hash)\"}\n".utf8)
        return (
            text, LedgerPosition(lines: lines + 1, bytes: bytes + text.count, head: hash)
        )
    }
}

/// A ledger that was read: its entries, checked up to the first line that is not as it must be.
public struct Ledger: Sendable {
    /// The folder of a run that holds the ledger.
    public static let folder = "training"
    /// The ledger's name in it.
    public static let file = "ledger.jsonl"

    /// The file.
    public let url: URL
    /// The steps, in order.
    public private(set) var entries: [LedgerEntry] = []
    /// The position after each entry.
    private(set) var positions: [LedgerPosition] = []
    /// What is wrong with the first bad line: a sentence with its number.
    public private(set) var damage: String?

    static func url(ofRun directory: URL) -> URL {
        directory.appendingPathComponent(folder).appendingPathComponent(file)
    }

    /// Reads `training/ledger.jsonl` of a run's directory.
    public init(ofRun directory: URL) throws {
        url = Self.url(ofRun: directory)
        let data = try Data(contentsOf: url)
        var position = LedgerPosition()
        var rest = data[...]
        while !rest.isEmpty {
            let number = position.lines + 1
            guard let end = rest.firstIndex(of: 0x0A) else {
                damage = "\(url.path), line \(number): it ends in the middle"
                return
            }
            let line = rest[rest.startIndex...end]
            guard let entry = Self.entry(line, file: "\(url.path), line \(number)"),
                let (text, next) = try? position.line(of: entry), text == Data(line)
            else {
                damage =
                    "\(url.path), line \(number): expected an entry that is chained to the line "
                    + "before, found another"
                return
            }
            entries.append(entry)
            positions.append(next)
            position = next
            rest = rest[(end + 1)...]
        }
    }

    private static func entry(_ line: Data, file: String) -> LedgerEntry? {
        guard let json = try? JSONValue.parse(Data(line.dropLast()), file: file),
            let reader = try? DocumentReader(json, file: file)
        else { return nil }
        return try? LedgerEntry(reader)
    }

    /// Where the ledger ends, damage left out.
    var end: LedgerPosition { positions.last ?? LedgerPosition() }
}
