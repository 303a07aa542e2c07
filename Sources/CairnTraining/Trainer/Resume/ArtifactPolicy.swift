// SPDX-License-Identifier: Apache-2.0
/// What a trainer writes without being told at each fit: checkpoints, how many stay, the bundle.

import CairnFormats
import Foundation

/// Defaults for the files of a trainer's fits.
public struct ArtifactPolicy {
    /// Which epochs are saved.
    public enum Strategy: Sendable, Equatable {
        /// Saves every epoch.
        case latest
        /// Saves an epoch that improves on the monitor.
        case best
        /// Saves the epochs whose number, from 1, is a multiple.
        case every(Int)
    }

    /// Which checkpoints stay. The newest, the best and the one resumed from always do.
    public struct Retention: Sendable, Equatable {
        /// The newest so many; nil keeps all.
        public var keepLast: Int?
        /// The best so many by the monitor, beside those.
        public var keepBest = 1

        /// Which checkpoints stay.
        public init(keepLast: Int? = nil, keepBest: Int = 1) {
            self.keepLast = keepLast
            self.keepBest = keepBest
        }
    }

    /// Where a fit takes up, unless it is told itself.
    public enum Resume {
        /// A fit starts afresh.
        case never
        /// The newest checkpoint of the run's directory; a fresh start where there is none.
        case latest
        /// The best one by the monitor; a fresh start where there is none.
        case best
        /// From what is named.
        case from(ResumeSource)
    }

    /// Where checkpoints go, unless a fit says so itself.
    public var checkpointPath: CheckpointPath?
    /// Which epochs are saved, unless a fit says so itself.
    public var strategy: Strategy?
    /// Which checkpoints stay.
    public var retention = Retention()
    /// Where a fit takes up.
    public var resume = Resume.never
    /// Where the run's bundle goes, after every checkpoint and at the end; nil writes none.
    public var runBundlePath: URL?
    /// What the bundle's `config` says.
    public var runBundleConfig: JSONValue = [:]

    /// Nothing is saved, and all of it stays.
    public init() {}

    /// - Throws: `TrainerError.option` for a part that cannot be used.
    func validate(_ options: FitOptions) throws(TrainerError) {
        if case .every(let count)? = strategy, count <= 0 {
            throw .option("checkpoint every", expected: "positive", found: "\(count)")
        }
        if let keep = retention.keepLast, keep < 1 {
            throw .option(
                "keep_last", expected: "at least 1, for the newest always stays", found: "\(keep)")
        }
        if retention.keepBest < 1 {
            throw .option(
                "keep_best", expected: "at least 1, for the best always stays",
                found: "\(retention.keepBest)")
        }
        if strategy != nil, options.checkpointPath == nil {
            throw .option(
                "checkpoint_path", expected: "given with a strategy", found: "none")
        }
        if options.saveBest, let strategy, strategy != .best {
            throw .option(
                "save_best", expected: "unset with strategy \(strategy.name)", found: "true")
        }
    }

    /// Whether the end of an epoch is saved.
    func saves(epoch: Int, improved: Bool, _ options: FitOptions) -> Bool {
        if options.saveBest || strategy == .best { return improved }
        if case .every(let count)? = strategy { return (epoch + 1) % count == 0 }
        return true
    }

    /// As reports show it.
    var json: JSONValue {
        var path: JSONValue = .null
        switch checkpointPath {
        case .template(let text)?: path = .string(text)
        case .chosen?: path = "(closure)"
        case nil: break
        }
        var every: JSONValue = .null
        if case .every(let count)? = strategy { every = .whole(count) }
        return .object([
            "checkpoint": .object([
                "path": path, "strategy": .text(strategy?.name), "every": every,
            ]),
            "retention": .object([
                "keep_last_n": .whole(retention.keepLast), "keep_best": .whole(retention.keepBest),
            ]),
            "resume": .string(resume.name),
            "run_bundle": .object([
                "enabled": .bool(runBundlePath != nil), "path": .text(runBundlePath?.path),
                "config": runBundleConfig.withFiniteNumbers,
            ]),
        ])
    }
}

extension ArtifactPolicy.Strategy {
    var name: String {
        switch self {
        case .latest: "latest"
        case .best: "best"
        case .every: "every"
        }
    }
}

extension ArtifactPolicy.Resume {
    var name: String {
        switch self {
        case .never: "never"
        case .latest: "latest"
        case .best: "best"
        case .from: "source"
        }
    }
}
