// SPDX-License-Identifier: Apache-2.0
/// What ranks pay for training together: the sum of their gradients, and one agreement.

import Cairn
import CairnTraining
import Foundation

/// Adds gradients of some sizes over all ranks; checked for the order of the groups before it is
/// timed. The slowest rank's time counts.
struct RanksBench {
    private static let rounds = 7

    /// The sum did not come out in the order of the groups.
    struct WrongSum: Error, CustomStringConvertible {
        let description: String
    }

    let options: BenchOptions
    let report: Report

    func run() throws {
        guard Launcher.here.size > 1 else {
            throw BenchOptions.Wrong("ranks runs under mpirun, mpiexec or srun, on 2 ranks or more")
        }
        let ranks = try Ranks.launched()
        let context = try Context(isa: options.isa, threads: options.threads)
        if ranks.isFirst {
            report.line("ranks     bytes  chunk bytes  sum ms   MAD %  agreement ms")
        }
        for bytes in options.byteCounts {
            let gradients = try GroupGradients(
                count: max(bytes / 4, 1), groups: options.groups, context: context)
            let chain = try GradientChain(ranks.transport!, gradients, context: context)
            try check(gradients, chain, ranks, context)
            var (sums, agreements) = (Samples(), Samples())
            for _ in 0..<(options.isQuick ? 1 : Self.rounds) {
                _ = try slowest(ranks) {}
                sums.add(try slowest(ranks) { try chain.run(groups: options.groups) })
                agreements.add(Samples.time { try? ranks.barrier() })
            }
            guard ranks.isFirst, !options.isQuick else { continue }
            report.row(
                [
                    "ranks": JSONValue(ranks.size), "bytes": JSONValue(bytes),
                    "groups_per_rank": JSONValue(options.groups),
                    "sum_seconds": .number(sums.median), "sum_spread": .number(sums.spread),
                    "agreement_seconds": .number(agreements.median),
                ],
                text: String(
                    format: "%5d %9d  %11d %7.2f  %6.1f  %12.3f", ranks.size, bytes,
                    4 * GradientChain.chunk(gradients.count, ranks: ranks.size),
                    sums.median * 1e3, sums.spread * 100, agreements.median * 1e3))
        }
        if !ranks.isFirst || options.isQuick { report.mute() }
        try ranks.close()
    }

    /// The longest that any rank took for something that all do together.
    private func slowest(_ ranks: Ranks, _ body: () throws -> Void) throws -> Double {
        let seconds = try Samples.time(body)
        return try ranks.largest(seconds)
    }

    /// Sums of which every order has other bits.
    private func check(
        _ gradients: GroupGradients, _ chain: GradientChain, _ ranks: Ranks, _ context: Context
    ) throws {
        func number(_ group: Int, _ element: Int) -> Float {
            group % 3 == element % 3 ? 1 : 0x1p-24 * Float(1 + (7 * group + 5 * element) % 11)
        }
        let count = gradients.count
        for group in 0..<options.groups {
            let first = ranks.rank * options.groups + group
            context.write((0..<count).map { number(first, $0) }, to: gradients.group(group))
        }
        try chain.run(groups: options.groups)
        let found = context.read(gradients.total)
        for element in stride(from: 0, to: count, by: max(count / 1000, 1)) {
            let expected = (0..<ranks.size * options.groups).reduce(Float(0)) {
                $0 + number($1, element)
            }
            guard found[element].bitPattern == expected.bitPattern else {
                throw WrongSum(
                    description:
                        "element \(element) of \(count): expected \(expected), found \(found[element])"
                )
            }
        }
    }
}
