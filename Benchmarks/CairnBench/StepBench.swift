// SPDX-License-Identifier: Apache-2.0
/// A fine-tuning step of a model directory: LoRA, AdamW, rows of real lengths; beside transformers and
/// PEFT on the same rows.

import Cairn
import Foundation

/// Times whole steps: forward, backward, clipping, update. Weights are read, data is synthetic.
struct StepBench {
    private let options: BenchOptions
    private let report: Report

    private static let labels = 4
    private static let rank = 16

    init(_ options: BenchOptions, _ report: Report) {
        self.options = options
        self.report = report
    }

    struct WrongLoss: Error, CustomStringConvertible { let description: String }

    func run() throws {
        guard let directory = options.model else {
            preconditionFailure("a step without --model passed the options")
        }
        report.machine(options)
        let base = try BaseModel(
            contentsOf: directory, head: .classification(labels: Self.labels))
        report.fact("model", .string(directory.lastPathComponent))
        report.fact(
            "parameters", JSONValue(base.parameterCount), text: "\(base.parameterCount)")
        let data = rows(base)
        let adapted = options.targets.description
        report.fact("adapted", .string(adapted), text: "\(adapted), rank \(Self.rank)")
        let peer = try options.peer.map {
            try Peer(python: $0, threads: options.threads, script: "peer_step.py")
        }
        defer { peer?.stop() }
        if let peer { report.fact("peer", .string(peer.version)) }
        for precision in options.precisions {
            let subject = try step(base, data, precision, options.isa, options.threads)
            try check(subject, base, data, precision)
            if options.profiles {
                try profile(subject, precision)
            } else {
                try peer.map { try prepare($0, directory, data, precision) }
                if !options.isQuick { try time(subject, precision, peer) }
            }
        }
        let steps = Self.checkedSteps
        report.fact(
            "checked", JSONValue(steps),
            text: "\(steps) steps have the bits of one thread of "
                + definition(base, data).rawValue)
    }

    private func step(
        _ base: BaseModel, _ data: DataSet, _ precision: Precision, _ isa: ISA, _ threads: Int
    ) throws -> StepCase {
        try StepCase(
            base, data, precision, Context(isa: isa, threads: threads), rank: Self.rank,
            targets: options.targets)
    }

    /// Seeded rows whose lengths are spread evenly, as far as the model has positions.
    private func rows(_ base: BaseModel) -> DataSet {
        var stream = RandomStream(seed: 1, name: "bench/rows")
        let longest = min(options.lengths.upperBound, base.maximumLength)
        let shortest = min(options.lengths.lowerBound, longest)
        let ids = (0..<options.rows).map { row in
            let length = shortest + row * (longest - shortest) / max(options.rows - 1, 1)
            // The peer's models know padding by its id, 0 where they name none.
            return (0..<length).map { _ in
                Int32(1 + stream.index(below: base.configuration.vocabularySize - 1))
            }
        }
        return DataSet(
            ids: ids, typeIDs: ids.map { [Int32](repeating: 0, count: $0.count) },
            targets: .classes((0..<options.rows).map { Int32($0 % Self.labels) }))
    }

    /// Gives the peer the same model and the same rows.
    private func prepare(
        _ peer: Peer, _ directory: URL, _ data: DataSet, _ precision: Precision
    ) throws {
        let answer = try peer.ask([
            "do": "prepare", "model": .string(directory.path),
            "type": .string(precision.rawValue), "labels": JSONValue(Self.labels),
            "rank": JSONValue(Self.rank),
            "adapt": .array(
                options.targets.description.split(separator: ",").map { .string(String($0)) }),
            "rows": .array(data.ids.map { .array($0.map { JSONValue(Int($0)) }) }),
        ])
        guard answer["tokens"]?.integer == data.tokenCount else {
            throw Peer.Failure(
                description: "peer_step.py: expected \(data.tokenCount) tokens, found "
                    + "\(answer["tokens"]?.integer ?? 0)")
        }
        let padded = answer["padded_tokens"]?.integer ?? 0
        report.fact(
            "padded", JSONValue(padded), text: "\(padded) of the peer, with its padding")
    }

    // MARK: Checking

    /// Steps that are compared before anything is timed.
    private static let checkedSteps = 2
    /// The scalar kernels take some seconds for so many multiply-adds.
    private static let scalarLimit = 2e9

    /// What the steps are compared with: the scalar kernels, or where the model is too large for
    /// them, the same instruction set on one thread.
    private func definition(_ base: BaseModel, _ data: DataSet) -> ISA {
        let work = Double(base.parameterCount) * Double(data.tokenCount)
        return work < Self.scalarLimit ? .scalar : options.isa
    }

    private func check(
        _ subject: StepCase, _ base: BaseModel, _ data: DataSet, _ precision: Precision
    ) throws {
        let isa = definition(base, data)
        let other = try step(base, data, precision, isa, 1)
        for step in 0..<Self.checkedSteps {
            let (found, expected) = (try subject.step(), try other.step())
            guard found.bitPattern == expected.bitPattern, found.isFinite else {
                throw WrongLoss(
                    description: "step \(step + 1), \(precision.rawValue): the loss is \(found), "
                        + "expected \(expected) as with \(isa.rawValue) on one thread")
            }
        }
    }

    // MARK: Timing

    /// Every call of the step is taken so many times, the least of its times counts.
    private static let profiledSteps = 9

    private func profile(_ subject: StepCase, _ precision: Precision) throws {
        let roof = Roof(threads: options.threads)
        var profile = StepProfile()
        for _ in 0..<(options.isQuick ? 1 : Self.profiledSteps) {
            try subject.step(into: &profile)
        }
        report.line("")
        report.line(
            String(
                format: "step %@  %d tokens  roof %.0f GFLOP/s, %.0f GB/s", precision.rawValue,
                subject.tokens, roof.of(precision), roof.memory))
        profile.print(precision, roof, to: report)
    }

    private func time(_ subject: StepCase, _ precision: Precision, _ peer: Peer?) throws {
        var samples = Samples()
        var theirs = Samples()
        for _ in 0..<Samples.count {
            samples.add(try Samples.time { _ = try subject.step() })
            if let peer { theirs.add(try peer.sample()) }
        }
        let speed = Double(subject.tokens) / samples.median
        let peak = ResidentMemory.peakByteCount
        var row: JSONObject = [
            "type": .string(precision.rawValue), "tokens": JSONValue(subject.tokens),
            "milliseconds": .number(samples.median * 1e3), "spread": .number(samples.spread),
            "tokens_per_second": .number(speed),
            "activation_bytes": JSONValue(subject.activationBytes),
            "gradient_bytes": JSONValue(subject.gradientBytes),
            "peak_rss_bytes": JSONValue(peak),
        ]
        var text = String(
            format: "step %@  %d tokens  %.1f ms ±%.1f %%  %.0f tokens/s  activations %.1f MB, "
                + "gradients %.1f MB, peak %.1f MB", precision.rawValue, subject.tokens,
            samples.median * 1e3, samples.spread * 100, speed,
            Double(subject.activationBytes) * 1e-6, Double(subject.gradientBytes) * 1e-6,
            Double(peak) * 1e-6)
        if peer != nil {
            let other = Double(subject.tokens) / theirs.median
            row["peer_tokens_per_second"] = .number(other)
            row["peer_spread"] = .number(theirs.spread)
            row["peer_over_own"] = .number(theirs.median / samples.median)
            text += String(
                format: "  peer %.0f tokens/s ±%.1f %%  %.2f x", other, theirs.spread * 100,
                speed / other)
        }
        report.row(row, text: text)
    }
}
