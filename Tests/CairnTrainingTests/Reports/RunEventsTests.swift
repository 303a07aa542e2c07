// SPDX-License-Identifier: Apache-2.0
/// The event files of a run and of its resume, read as TensorBoard reads them.

import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct RunEventsTests {
    /// Tag and step of every scalar, in the order of the files; a start event drops what earlier
    /// files have from its step on.
    private func scalars(_ folder: URL) throws -> [(tag: String, step: Int)] {
        var kept: [(tag: String, step: Int)] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() {
            var rest = try Data(contentsOf: folder.appendingPathComponent(name))[...]
            while !rest.isEmpty {
                let count = rest.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
                let event = Message(rest.dropFirst(12).prefix(count))
                rest = rest.dropFirst(12 + count + 4)
                let step = event.numbers[2] ?? 0
                if event.texts[7] != nil { kept.removeAll { $0.step >= step } }
                for summary in event.texts[5] ?? [] {
                    for value in Message(summary).texts[1] ?? [] {
                        let tag = Message(value).texts[1]![0]
                        kept.append((String(decoding: tag, as: UTF8.self), step))
                    }
                }
            }
        }
        return kept
    }

    /// The fields of a message of protocol buffers.
    private struct Message {
        var numbers: [Int: Int] = [:]
        var texts: [Int: [Data]] = [:]

        init(_ data: some DataProtocol) {
            var bytes = Array(data)[...]
            func number() -> Int {
                var (value, shift) = (0, 0)
                while let byte = bytes.popFirst() {
                    value |= Int(byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80 { break }
                }
                return value
            }
            while !bytes.isEmpty {
                let key = number()
                switch key & 7 {
                case 0: numbers[key >> 3] = number()
                case 1: bytes = bytes.dropFirst(8)
                case 5: bytes = bytes.dropFirst(4)
                default:
                    let count = number()
                    texts[key >> 3, default: []].append(Data(bytes.prefix(count)))
                    bytes = bytes.dropFirst(count)
                }
            }
        }
    }

    /// Of 36 rows in steps of 12: step-3 lies between the epoch's last step and its validation.
    @Test(arguments: [2, 3, 4])
    func `a resume shows no step and no validation twice`(step: Int) throws {
        var golden = try GoldenJob("qwen2", rows: 45)
        golden.options.settings.epochs = 2
        golden.options.settings.batchSize = 12
        golden.options.policy.steps = 1
        let report = try golden.job().run()
        #expect(report.steps == 6)
        let events = golden.options.output.appendingPathComponent("events")
        let before = try scalars(events)

        let point = try ResumableRun(
            contentsOf: golden.options.output.appendingPathComponent("step-\(step)"))
        for name in ["best", "epoch-2"] + (step + 1...6).map({ "step-\($0)" }) {
            try FileManager.default.removeItem(
                at: golden.options.output.appendingPathComponent(name))
        }
        _ = try FineTuneJob(golden.options, start: .resumed(point)).run()

        let after = try scalars(events)
        func sorted(_ scalars: [(tag: String, step: Int)]) -> [String] {
            scalars.map { "\($0.tag) \($0.step)" }.sorted()
        }
        #expect(Set(sorted(after)).count == after.count)
        // Throughput of a step is known to the start that took it, and to no ledger.
        func lasting(_ list: [String]) -> [String] { list.filter { !$0.hasPrefix("throughput/") } }
        #expect(lasting(sorted(after)) == lasting(sorted(before)))
        #expect(after.filter { $0.tag == "validation/loss" }.map(\.step).sorted() == [3, 6])
    }
}
