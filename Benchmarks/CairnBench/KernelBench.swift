// SPDX-License-Identifier: Apache-2.0
/// The matmuls of training at the shapes of real layers, as a share of the machine's roof.

import Cairn
import Foundation

/// Checks every row against the bits of the scalar kernels, then times it.
struct KernelBench {
    private let options: BenchOptions
    private let report: Report
    private let context: Context
    private let scalar: Context

    init(_ options: BenchOptions, _ report: Report) throws {
        self.options = options
        self.report = report
        context = try Context(isa: options.isa, threads: options.threads)
        scalar = try Context(isa: .scalar, threads: 1)
    }

    struct WrongBits: Error, CustomStringConvertible {
        let description: String
    }

    func run() throws {
        report.machine(options)
        let roof = options.isQuick ? nil : Roof(threads: options.threads)
        if let roof {
            report.fact(
                "roof", ["fp32": .number(roof.fp32), "bf16": .number(roof.bf16)],
                text: String(format: "fp32 %.0f, bf16 %.0f GFLOP/s", roof.fp32, roof.bf16))
        }
        let peer = try options.peer.map { try Peer(python: $0, threads: options.threads) }
        defer { peer?.stop() }
        if let peer { report.fact("peer", .string(peer.version)) }
        if roof != nil { report.line(Self.header(withPeer: peer != nil)) }
        var checked = 0
        for shape in options.isQuick ? LayerShape.quick : LayerShape.all {
            for precision in [Precision.fp32, .bf16] {
                for operation in KernelOperation.allCases
                where precision == .bf16 || operation.kind == nil {
                    let subject = try KernelCase(shape, operation, precision, context: context)
                    try check(subject)
                    checked += 1
                    if let roof { try time(subject, roof, peer) }
                }
            }
        }
        report.fact("checked", JSONValue(checked), text: "\(checked) rows have the scalar bits")
    }

    private func check(_ subject: KernelCase) throws {
        let definition = try KernelCase(
            subject.shape, subject.operation, subject.precision, context: scalar)
        let (expected, found) = (try definition.sliceAlone(), try subject.checkedSlice())
        guard let index = zip(expected, found).enumerated().first(where: { $1.0 != $1.1 })?.offset
        else { return }
        throw WrongBits(
            description: "\(subject.operation.rawValue) \(subject.precision.rawValue) "
                + "[\(subject.shape.tokens), \(subject.shape.inputs), \(subject.shape.outputs)]: "
                + "element \(index) is \(Float(bitPattern: found[index])) with "
                + "\(options.isa.rawValue), expected \(Float(bitPattern: expected[index]))")
    }

    private func time(_ subject: KernelCase, _ roof: Roof, _ peer: Peer?) throws {
        let repeats = try Samples.repeats(subject.run)
        let rival = try peer?.prepare(subject)
        var (own, theirs) = (Samples(), Samples())
        for _ in 0..<Samples.count {
            // Both sides run once before they are timed: the other's operands are in the caches.
            try subject.run()
            own.add(try Samples.sample(repeats, subject.run))
            if let peer { theirs.add(try peer.sample()) }
        }
        let shape = subject.shape
        let rate = shape.operations(subject.operation) / own.median * 1e-9
        let share = rate / roof.of(subject.precision)
        var row: JSONObject = [
            "model": .string(shape.model), "operation": .string(subject.operation.rawValue),
            "type": .string(subject.precision.rawValue), "tokens": JSONValue(shape.tokens),
            "in": JSONValue(shape.inputs), "out": JSONValue(shape.outputs),
            "isa": .string(options.isa.rawValue), "threads": JSONValue(options.threads),
            "milliseconds": .number(own.median * 1e3), "spread": .number(own.spread),
            "gflops": .number(rate), "share_of_roof": .number(share),
        ]
        var text = Self.columns([
            (shape.model, 13), (subject.operation.rawValue, 8), (subject.precision.rawValue, 5),
            ("\(shape.tokens)x\(shape.inputs)x\(shape.outputs)", 14), (options.isa.rawValue, 7),
            ("\(options.threads)", 3),
        ])
        text += String(
            format: "%9.3f %6.1f %8.1f %7.1f", own.median * 1e3, own.spread * 100, rate,
            share * 100)
        if let rival {
            row["peer"] = .string(rival)
            row["peer_milliseconds"] = .number(theirs.median * 1e3)
            row["peer_over_own"] = .number(theirs.median / own.median)
            text += String(format: " %8.2f  ", theirs.median / own.median) + rival
        }
        report.row(row, text: text)
    }

    private static func header(withPeer: Bool) -> String {
        columns([
            ("model", 13), ("op", 8), ("type", 5), ("tokens,in,out", 14), ("isa", 7), ("thr", 3),
        ]) + "       ms  ±MAD%  GFLOP/s   roof%" + (withPeer ? "  speedup  peer" : "")
    }

    private static func columns(_ cells: [(String, Int)]) -> String {
        cells.map { Report.padded($0.0, $0.1 + 1) }.joined()
    }
}
