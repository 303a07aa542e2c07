// SPDX-License-Identifier: Apache-2.0
/// Where checkpoints go: a template, or a closure that names the path or skips the save.

import Foundation

/// The path of a run's checkpoints.
///
///     options.checkpointPath = "ck/ep-%<epoch>03d.safetensors"
///     options.checkpointPath = .chosen { $0.improved ? "ck/\($0.nextEpoch).npz" : nil }
public enum CheckpointPath: ExpressibleByStringLiteral {
    /// Placeholders in a path; see `PathTemplate`.
    case template(String)
    /// What the closure returns is the path as it stands; nil or "" skips this save.
    case chosen((PathContext) throws -> String?)

    public init(stringLiteral value: String) { self = .template(value) }
}

/// A checkpoint path that was checked before training.
struct CheckpointPlan {
    private enum Kind {
        case template(PathTemplate)
        case chosen((PathContext) throws -> String?)
    }

    private let kind: Kind
    /// Where all checkpoints lie, and where alone files are ever deleted; nil where a closure may
    /// name any folder.
    let directory: URL?
    private let isBase: Bool
    private let overwrites: Bool
    /// Paths of this run, with the step of each.
    private var written: [String: Int] = [:]

    /// - Parameters:
    ///   - directory: a directory that all paths must lie in; nil takes a template's own folders.
    ///   - overwrites: whether saves are meant to replace each other.
    ///   - bySteps: whether there are saves within an epoch.
    ///   - check: whether a path names a format that can be written.
    init(
        _ path: CheckpointPath, directory: URL?, monitorName: String, overwrites: Bool,
        bySteps: Bool, check: (String) throws -> Void
    ) throws {
        isBase = directory != nil
        self.overwrites = overwrites
        switch path {
        case .chosen(let choose):
            kind = .chosen(choose)
            self.directory = directory
        case .template(let text):
            let template = try PathTemplate(text)
            if isBase, text.hasPrefix("/") {
                throw TrainerError.path(text, reason: "it is absolute, but a directory is given")
            }
            if !template.isFixed, !overwrites, !template.distinguishes(steps: bySteps) {
                throw TrainerError.path(
                    text,
                    reason: bySteps
                        ? "two steps of an epoch can give one path; add %{step}"
                        : "two epochs can give one path; add %{epoch}")
            }
            // A number as it may come: where the extension is taken from it, nothing can be saved.
            let sample = PathContext(
                epoch: 0, step: 1, monitor: 0.5, monitorName: monitorName, epochLoss: 0.5,
                validationLoss: 0.5)
            try check(try template.path(sample))
            kind = .template(template)
            self.directory =
                directory ?? URL(fileURLWithPath: template.directory, isDirectory: true)
        }
    }

    /// Where this checkpoint goes; nil when it is not to be written.
    ///
    /// - Throws: `TrainerError.path` when the path leaves the directory, or when a template with
    ///   placeholders names a path that this run has written already.
    mutating func next(_ context: PathContext) throws -> URL? {
        switch kind {
        case .chosen(let choose):
            guard let path = try choose(context), !path.isEmpty else { return nil }
            return try place(path)
        case .template(let template):
            let path = try template.path(context)
            // The end of an epoch may take the place of its own last step.
            if !template.isFixed, !overwrites, written[path] ?? context.step != context.step {
                throw TrainerError.path(
                    path, reason: "an earlier checkpoint of this run has this path")
            }
            written[path] = context.step
            return try place(path)
        }
    }

    /// `interrupted` with the extension of the run's checkpoints, in the folder they go to; nil
    /// where a closure names none.
    func interrupted(_ context: PathContext) throws -> URL? {
        var sample: String?
        switch kind {
        case .chosen(let choose):
            var improved = context
            improved.improved = true
            sample = try choose(improved)
        case .template(let template): sample = try template.path(context)
        }
        guard let sample, !sample.isEmpty else { return nil }
        let path = try place(sample)
        let folder = path.deletingLastPathComponent()
        let name = "interrupted"
        return folder.appendingPathComponent(
            path.pathExtension.isEmpty ? name : "\(name).\(path.pathExtension)",
            isDirectory: path.hasDirectoryPath)
    }

    private func place(_ path: String) throws(TrainerError) -> URL {
        if path.split(separator: "/").contains("..") {
            throw .path(path, reason: "'..' leads out of the directory")
        }
        guard isBase, let directory else { return URL(fileURLWithPath: path) }
        if path.hasPrefix("/") {
            throw .path(path, reason: "it is absolute, but a directory is given")
        }
        return directory.appendingPathComponent(path)
    }
}
