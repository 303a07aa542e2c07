// SPDX-License-Identifier: Apache-2.0
/// Commands under mpirun: which of them may run on several ranks, and how they leave.

import Cairn
import Foundation

enum Launch {
    /// Refuses to let copies of a command do the same work side by side.
    static func check(_ command: any Command.Type) throws {
        let launcher = Launcher.here
        guard launcher.size > 1 else { return }
        let copies = "\(launcher.size) copies of cairn were started (\(launcher.variable!))"
        guard command.runsOnRanks else {
            throw LaunchError(
                "\(copies), and 'cairn \(command.name)' runs as one process: start one")
        }
        guard Ranks.isBuiltIn else {
            throw LaunchError(
                "\(copies), and this build has no MPI: each of them would train the same run in the "
                    + "same directory; start one, or build with CAIRN_MPI=1")
        }
    }

    /// The ranks that train together: this process alone, or those that the launcher started.
    static func ranks() throws -> Ranks {
        let launcher = Launcher.here
        guard launcher.size > 1 else { return .one }
        let ranks = try Ranks.launched()
        guard ranks.size == launcher.size else {
            throw LaunchError(
                "the launcher started \(launcher.size) processes (\(launcher.variable!)), and the "
                    + "MPI that this build is linked with finds \(ranks.size): start it with the "
                    + "mpirun of the same MPI, or srun with a --mpi that it knows")
        }
        return ranks
    }

    /// Runs what all ranks do, and sees to it that none of them is left waiting.
    static func run(_ body: (Ranks) throws -> Void) throws {
        let ranks = try ranks()
        do {
            try body(ranks)
        } catch  where ranks.size > 1 {
            // What all ranks know of is said once, and all leave in order.
            if isKnownToAll(error) {
                try? ranks.close()
                throw error
            }
            Terminal.write("cairn: \(CairnCommand.sentence(LostRank(ranks.rank, error)))\n")
            ranks.abandon()
            throw error
        }
        try ranks.close()
    }

    /// Exits after an error that the first rank has the word for: launchers end all ranks as soon as
    /// one has failed, so the others give it a moment to speak.
    static func leave(_ code: Int32) -> Never {
        if Launcher.here.rank > 0 { Thread.sleep(forTimeInterval: 1) }
        exit(code)
    }

    private static func isKnownToAll(_ error: any Error) -> Bool {
        switch error {
        case let error as RanksError: error != .garbled
        // Loss and norm are of all ranks' rows.
        case TrainingError.nonFinite: true
        case is UnsavedError: true
        default: false
        }
    }
}

/// Several processes that cannot be one run.
struct LaunchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// An error on one rank, which ends them all.
private struct LostRank: Error, CustomStringConvertible {
    let rank: Int
    let error: any Error

    init(_ rank: Int, _ error: any Error) {
        self.rank = rank
        self.error = error
    }

    var description: String {
        error is TransportError
            ? "\(error); the run ends, its committed checkpoints are whole ('cairn resume' goes on)"
            : "rank \(rank): \(CairnCommand.sentence(error))"
    }
}
