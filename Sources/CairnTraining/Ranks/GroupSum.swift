// SPDX-License-Identifier: Apache-2.0
/// How the gradients of all ranks become one sum: over the host's memory, or from GPU to GPU.

import CairnEngine
import CairnGraph

/// What fills `GroupGradients.total` with the sum of all ranks' groups.
package protocol GroupSum: AnyObject {
    /// Adds ((g0 + g1) + g2) + ... over the ranks in order; the same bits on every one.
    ///
    /// - Parameter counts: how many of the groups that fit each rank has this step.
    func add(groupsOf counts: [Int]) throws
}

extension GradientChain: GroupSum {
    package func add(groupsOf counts: [Int]) throws { try run(groups: counts[rank]) }
}

/// How ranks came to their sum.
package struct SumChoice {
    package let sum: any GroupSum
    /// What a user should know of it; nil where there was no choice.
    package let note: String?

    /// Joins the ranks' GPUs where they have NCCL; elsewhere sums go over the host's memory. Every
    /// rank calls it.
    ///
    /// - Parameters:
    ///   - ranks: more than one.
    ///   - groups: how many all ranks have together, at most.
    ///   - chain: the sum over the host's memory.
    package init(
        _ ranks: Ranks, groups: Int, _ gradients: GroupGradients, context: Context,
        over chain: GradientChain
    ) throws {
        guard context.device != .cpu else {
            (sum, note) = (chain, nil)
            return
        }
        do {
            // One rank without NCCL, or with a GPU that another one has, and all do without.
            let version = try ranks.together { try NCCL.version() }
            let made = try ranks.together { ranks.isFirst ? try NCCL.makeID() : [] }
            let id = try ranks.gather(made)[0]
            let joined = try ranks.together {
                try NCCL.join(context, id: id, rank: ranks.rank, size: ranks.size)
            }
            sum = try ranks.together {
                try DeviceSum(
                    joined, rank: ranks.rank, size: ranks.size, groups: groups, gradients,
                    context: context)
            }
            note = "gradients go from GPU to GPU over NCCL \(version)"
        } catch RanksError.failed(let rank, let reason) {
            sum = chain
            note =
                "gradients go over the hosts' memory and MPI, not from GPU to GPU: "
                + "\(RanksError.failed(rank: rank, reason: reason))"
        }
    }
}
