// SPDX-License-Identifier: Apache-2.0
/// `cairn publish`: a directory becomes a repository on the Hub.

import Cairn
import Foundation

struct Publish: Command {
    static let name = "publish"
    static let summary = "Publishes a model directory or a checkpoint on the Hub, in one commit."
    static let positionals = ["DIR", "ORG/NAME"]
    static let example = "cairn publish checkpoints/best me/topic-classifier --dry-run"
    static let rules: [FlagRule] = [
        .excludes("--no-gate", ["--checkpoint", "--data", "--eval-data"])
    ]
    static let flags = [
        Flag(switch: "--dry-run", "print every file and every request, send nothing"),
        Flag(switch: "--private", "make the repository private, where it does not exist yet"),
        Flag(switch: "--create-pr", "open a pull request instead of committing"),
        Flag("--revision", "BRANCH", standard: "main", "the branch; made where it is missing"),
        Flag("--message", "TEXT", standard: PublishOptions().message, "title of the commit"),
        Flag("--base-model", "ID", "the base on the Hub, in place of a path of this machine"),
        Flag(
            "--include", "PATTERNS",
            "more files than those of a model; * and ?, commas between patterns"),
        Flag("--checkpoint", "DIR", "where a merged directory came from: it knows the gate's rows"),
        Flag("--data", "FILE", "where the run's training rows lie now"),
        Flag("--eval-data", "FILE", "where the run's validation rows lie now"),
        Flag(
            switch: "--no-gate",
            "publish although nothing compares the files with a receipt; the card tells it"),
        Flag(switch: "--json", "print the result as one JSON document"),
    ]

    private let arguments: Arguments
    private let repository: RepositoryID
    private let options: PublishOptions

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        var options = PublishOptions()
        options.isPrivate = arguments.has("--private")
        options.createsPullRequest = arguments.has("--create-pr")
        options.revision = arguments.string("--revision") ?? options.revision
        options.message = arguments.string("--message") ?? options.message
        options.include =
            arguments.string("--include")?.split(separator: ",").map(String.init) ?? []
        guard !options.message.allSatisfy(\.isWhitespace) else {
            throw arguments.usage("--message must not be empty")
        }
        do throws(HubError) {
            repository = try RepositoryID(arguments.positionals[1])
            _ = try RepositoryReference(repository, revision: options.revision)
            if let base = arguments.string("--base-model") { options.base = try RepositoryID(base) }
        } catch {
            throw arguments.usage("\(error)")
        }
        guard repository.namespace != nil else {
            throw arguments.usage("expected ORG/NAME, found '\(repository)'")
        }
        self.options = options
    }

    func run() throws {
        let directory = URL(fileURLWithPath: arguments.positionals[0])
        var options = self.options
        let gate: PublishGate
        do {
            gate = try PublishGate(arguments, directory: directory)
        } catch let error as ReceiptError {
            guard case .none = error else { throw error }
            // What else is wrong with the directory is said first: it may be no model at all.
            _ = try PublishPlan(directory: directory, repository: repository, options: options)
            throw error
        }
        options.cardSection = gate.cardSection
        let plan = try PublishPlan(
            directory: directory, repository: repository, options: options)
        for line in Self.lines(of: plan) { Terminal.error(line) }
        if arguments.has("--dry-run") {
            let requests = try DryRunTransport.requests(
                of: plan, settings: try HubSettings(), userAgent: HubAccess.userAgent)
            if arguments.has("--json") {
                try Self.document(plan, requests).printed()
            } else {
                for request in requests { print(request.summary) }
            }
            return Terminal.error("dry run: nothing was sent, and the gate was not asked")
        }
        var verdict: JSONValue?
        let result = try HubPublisher(HubAccess.client(), report: Self.report).publish(plan) {
            verdict = try gate.judge($0)
        }
        Terminal.error(Self.sentence(result))
        if arguments.has("--json") { try Self.document(plan, result, verdict).printed() }
    }

    // MARK: What the user sees

    private static func lines(of plan: PublishPlan) -> [String] {
        let width = plan.files.map { "\($0.size)".count }.max() ?? 0
        return [
            "to \(plan.repository), \(plan.options.revision)"
                + (plan.options.createsPullRequest ? " (pull request)" : "")
                + ": \(plan.files.count) files, \(plan.byteCount) bytes"
        ]
            + plan.files.map { file in
                let size = "\(file.size)"
                return "  " + String(repeating: " ", count: width - size.count) + size
                    + "  \(file.path)" + (file.change.map { " (\($0))" } ?? "")
            } + plan.leftOut.map { "  stays here: \($0.path) (\($0.reason))" }
    }

    private static func report(_ event: PublishEvent) {
        switch event {
        case .account(let name): Terminal.error("as \(name)")
        case .created(let repository, let isPrivate):
            Terminal.error("made \(isPrivate ? "private" : "public") repository \(repository)")
        case .createdBranch(let name): Terminal.error("made branch \(name)")
        case .cardWarning(let text): Terminal.error("note: README.md: \(text)")
        case .unchanged(let path): Terminal.error("unchanged: \(path)")
        case .alreadyStored(let path): Terminal.error("stored already: \(path)")
        case .storing(let path, let size): Terminal.error("storing \(path), \(size) bytes")
        case .stored: break
        case .committing(let count): Terminal.error("committing \(count) files")
        }
    }

    private static func sentence(_ result: PublishResult) -> String {
        if result.published.isEmpty {
            return "\(result.address) holds all of it already, at commit \(result.commit)"
        }
        return "published \(result.pullRequest ?? result.address), commit \(result.commit)"
    }

    private static func document(
        _ plan: PublishPlan, _ result: PublishResult, _ verdict: JSONValue?
    ) -> JSONValue {
        .object([
            "repository": .string(result.repository), "url": .string(result.address),
            "commit": .string(result.commit),
            "pull_request": result.pullRequest.map { .string($0) } ?? .null,
            "created": .bool(result.isNewRepository), "gate": verdict ?? .null,
            "published": .array(result.published.map { .string($0) }),
            "unchanged": .array(result.unchanged.map { .string($0) }), "files": files(plan),
            "left_out": leftOut(plan),
        ])
    }

    private static func document(_ plan: PublishPlan, _ requests: [HubRequest]) -> JSONValue {
        .object([
            "repository": .string(plan.repository.description), "files": files(plan),
            "left_out": leftOut(plan),
            "requests": .array(requests.map { .string($0.summary) }),
        ])
    }

    private static func files(_ plan: PublishPlan) -> JSONValue {
        .array(
            plan.files.map {
                [
                    "path": .string($0.path), "bytes": .integer($0.size),
                    "sha256": .string($0.sha256), "change": $0.change.map { .string($0) } ?? .null,
                ]
            })
    }

    private static func leftOut(_ plan: PublishPlan) -> JSONValue {
        .array(
            plan.leftOut.map { ["path": .string($0.path), "reason": .string($0.reason)] })
    }
}
