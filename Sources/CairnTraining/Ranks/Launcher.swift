// SPDX-License-Identifier: Apache-2.0
/// What mpirun, mpiexec or srun tell a process that they started, in its environment.

import Foundation

/// How many processes a launcher started, which of them this is, and its share of the machine.
public struct Launcher: Sendable, Equatable {
    /// This process, from 0.
    public let rank: Int
    /// How many there are; 1 when nobody launched several.
    public let size: Int
    /// How many of them are on this machine.
    public let localSize: Int
    /// Processors that the launcher gave to this one, where it says so.
    public let processors: Int?
    /// The variable that gave `size`; nil when there is none.
    public let variable: String?

    /// The launcher of this process.
    public static let here = Launcher(ProcessInfo.processInfo.environment)

    /// Reads the variables of Open MPI's mpirun, of MPICH's mpiexec (and its kin), and of srun.
    ///
    /// A batch script of SLURM is told how many tasks it may start, but it is one process: so of
    /// SLURM the variables of a step count, not those of the job.
    public init(_ environment: [String: String]) {
        func number(_ name: String) -> Int? {
            environment[name].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
        }
        let known = [
            ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK"),
            ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
        ]
        let found = known.first { (number($0.0) ?? 0) > 0 }
        variable = found?.0
        size = found.flatMap { number($0.0) } ?? 1
        rank = found.flatMap { number($0.1) } ?? 0
        let local: Int? =
            switch found?.0 {
            case "OMPI_COMM_WORLD_SIZE": number("OMPI_COMM_WORLD_LOCAL_SIZE")
            case "PMI_SIZE": number("MPI_LOCALNRANKS")
            case nil: nil
            default: environment["SLURM_STEP_TASKS_PER_NODE"].flatMap(Self.mostTasks)
            }
        localSize = min(max(local ?? size, 1), size)
        processors =
            size > 1 ? number("SLURM_CPUS_PER_TASK").flatMap { $0 > 0 ? $0 : nil } : nil
    }

    /// The largest number of `2(x3),1`: two tasks on each of three nodes, one on a fourth.
    private static func mostTasks(_ list: String) -> Int? {
        list.split(separator: ",").compactMap { Int($0.prefix { $0.isNumber }) }.max()
    }

    /// Threads for this process, so that those of one machine together have one per processor.
    public func threads(of available: Int) -> Int {
        max(1, min(processors ?? available / localSize, available))
    }
}
