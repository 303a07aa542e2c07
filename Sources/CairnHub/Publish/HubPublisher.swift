// SPDX-License-Identifier: Apache-2.0
/// Sends a plan to the Hub: one commit, or none.

import CairnFormats
import Foundation

/// What happens while a plan is published.
public enum PublishEvent: Equatable, Sendable {
    /// Whose token it is.
    case account(name: String)
    /// The repository was made.
    case created(repository: String, isPrivate: Bool)
    /// The branch was made.
    case createdBranch(name: String)
    /// What the Hub says of the model card.
    case cardWarning(String)
    /// The file is in the repository with the same bytes.
    case unchanged(path: String)
    /// Storage has the bytes, from another repository or from a publication that was cut off.
    case alreadyStored(path: String)
    /// A file's bytes begin to go to storage.
    case storing(path: String, size: Int)
    /// Storage has the file.
    case stored(path: String)
    /// The commit is sent.
    case committing(files: Int)
}

/// What a publication came to.
public struct PublishResult: Equatable, Sendable {
    /// The repository.
    public let repository: String
    /// The address of the page.
    public let address: String
    /// The commit that holds the files; the branch's own where nothing had changed.
    public let commit: String
    /// The address of the pull request; nil for a commit to the branch.
    public let pullRequest: String?
    /// Whether the repository was made for it.
    public let isNewRepository: Bool
    /// The files that the commit changed.
    public let published: [String]
    /// The files that were there with the same bytes.
    public let unchanged: [String]
}

/// Publishes plans with one client.
public struct HubPublisher {
    let client: HubClient
    private let report: (PublishEvent) -> Void

    /// The most files that one question about them may name.
    static let questionSize = 256
    /// A commit of many files takes the Hub a while.
    static let commitSeconds = 300.0

    /// Publishes by a client; `report` is told what happens.
    public init(_ client: HubClient, report: @escaping (PublishEvent) -> Void = { _ in }) {
        self.client = client
        self.report = report
    }

    /// Publishes a plan; all of it becomes visible in one commit, or nothing does.
    ///
    /// What the repository holds already is not sent again, and neither is what an earlier attempt
    /// had stored; when nothing is left there is no commit. Files that the directory does not have
    /// stay in the repository. The gate judges the plan before the first byte is sent; what it
    /// throws ends it.
    ///
    /// - Throws: `HubError`; after any of them the branch is as it was, `commitUnknown` excepted.
    public func publish(
        _ plan: PublishPlan, gate: (PublishPlan) throws -> Void = { _ in }
    ) throws -> PublishResult {
        guard client.settings.token != nil else {
            throw HubError.tokenMissing(searched: client.settings.searched)
        }
        try gate(plan)
        report(.account(name: try client.accountName()))
        let isNew = try client.createRepository(
            plan.repository, isPrivate: plan.options.isPrivate)
        if isNew {
            report(
                .created(
                    repository: plan.repository.description, isPrivate: plan.options.isPrivate))
        }
        try checkCard(of: plan)
        let target = try RepositoryReference(plan.repository, revision: plan.options.revision)
        let head = try branchHead(target, plan.options)
        let (new, large) = try compare(plan, with: target)
        let unchanged = plan.files.map(\.path).filter { path in
            !new.contains { $0.path.utf8Equals(path) }
        }
        for path in unchanged { report(.unchanged(path: path)) }
        var commit = Commit(oid: head)
        if !new.isEmpty {
            try LargeFiles(
                client: client, repository: plan.repository,
                revision: plan.options.createsPullRequest ? nil : target.revision, report: report
            ).store(new.filter { large.contains($0.path) })
            report(.committing(files: new.count))
            commit = try self.commit(new, large, plan, at: target, parent: head)
        }
        return PublishResult(
            repository: plan.repository.description,
            address: "\(client.settings.endpoint)/\(plan.repository)", commit: commit.oid,
            pullRequest: commit.pullRequest, isNewRepository: isNew,
            published: new.map(\.path), unchanged: unchanged)
    }

    // MARK: Steps

    private func checkCard(of plan: PublishPlan) throws {
        guard let card = plan.files.first(where: { $0.path == "README.md" }) else { return }
        let text = String(decoding: try card.bytes(), as: UTF8.self)
        for warning in try client.validateCard(text) { report(.cardWarning(warning)) }
    }

    /// The commit that the branch is at; makes the branch where it is missing.
    private func branchHead(
        _ target: RepositoryReference, _ options: PublishOptions
    ) throws -> String {
        do {
            return try client.commit(of: target)
        } catch HubError.revisionNotFound where !options.createsPullRequest {
            try client.createBranch(target)
            report(.createdBranch(name: target.revision))
            return try client.commit(of: target)
        }
    }

    /// The files that the repository lacks or has otherwise, and which of them are large.
    private func compare(
        _ plan: PublishPlan, with target: RepositoryReference
    ) throws -> (new: [PublishFile], large: Set<String>) {
        var new: [PublishFile] = []
        var large: Set<String> = []
        for start in stride(from: 0, to: plan.files.count, by: Self.questionSize) {
            let files = plan.files[start..<min(start + Self.questionSize, plan.files.count)]
            let modes = try client.uploadModes(
                of: Array(files), in: target, createsPullRequest: plan.options.createsPullRequest)
            for (file, mode) in zip(files, modes) where !mode.isIgnored {
                // git-lfs has no empty objects.
                let isLarge = mode.isLarge && file.size > 0
                let own = isLarge ? file.sha256 : SHA1.blobID(of: try file.bytes())
                if mode.remote == own { continue }
                new.append(file)
                if isLarge { large.insert(file.path) }
            }
        }
        return (new, large)
    }

    // MARK: Commit

    struct Commit {
        let oid: String
        var pullRequest: String?
    }

    /// Commits once; after a lost answer asks the Hub what became of it.
    ///
    /// The parent makes a second commit impossible: were the first one there, the branch would no
    /// longer be at the parent, and the Hub would refuse. So what is asked is safe, and what is
    /// repeated is not blind. A pull request has no such guard and is never repeated.
    private func commit(
        _ files: [PublishFile], _ large: Set<String>, _ plan: PublishPlan,
        at target: RepositoryReference, parent: String
    ) throws -> Commit {
        let isPull = plan.options.createsPullRequest
        var request = HubRequest(
            method: "POST",
            url: client.url(
                "/api/models/\(target.repository)/commit/\(HubPath.encoded(target.revision))"
                    + (isPull ? "?create_pr=1" : "")),
            headers: ["Content-Type": "application/x-ndjson"], idleSeconds: Self.commitSeconds)
        request.body = .data(
            try CommitBody.data(
                message: plan.options.message, parent: parent, files: files, large: large))
        let schedule = RetrySchedule()
        for attempt in 0... {
            let lost: String
            do {
                return try sendCommit(request, target)
            } catch HubError.network(_, let reason) {
                lost = reason
            } catch HubError.refused(_, let status, let message, _)
                where RetrySchedule.passing.contains(status)
            {
                lost = "\(status): \(message)"
            }
            let wait = schedule.verdict(retries: attempt, response: nil)
            guard case .wait(let seconds) = wait, !isPull else {
                throw HubError.commitUnknown(
                    repository: target.repository.description, revision: target.revision,
                    reason: lost)
            }
            client.clock.sleep(seconds: seconds)
            if let landed = try landedCommit(files, large, target, parent) { return landed }
        }
        preconditionFailure("the schedule ends before the attempts do")
    }

    private func sendCommit(_ request: HubRequest, _ target: RepositoryReference) throws -> Commit {
        let conduct = HubClient.Conduct(retries: false, accepts: [200, 412], subject: target)
        let response = try client.send(request, conduct)
        if response.status == 412 {
            throw HubError.stale(
                repository: target.repository.description, revision: target.revision)
        }
        let answer = try client.document(response, of: request)
        return Commit(
            oid: try answer.required("commitOid", "a commit", of: request, \.string),
            pullRequest: answer["pullRequestUrl"]?.string)
    }

    /// The commit that a lost answer was about; nil when the branch still is at the parent.
    ///
    /// - Throws: `HubError.stale` when the branch moved to something else.
    private func landedCommit(
        _ files: [PublishFile], _ large: Set<String>, _ target: RepositoryReference,
        _ parent: String
    ) throws -> Commit? {
        let head = try client.commit(of: target)
        if head == parent { return nil }
        let there = try client.files(of: RepositoryReference(target.repository, revision: head))
        for file in files {
            let entry = there.first { $0.path.utf8Equals(file.path) }
            let isSame =
                large.contains(file.path)
                ? entry?.sha256 == file.sha256
                : try entry?.blobID == SHA1.blobID(of: file.bytes())
            guard isSame else {
                throw HubError.stale(
                    repository: target.repository.description, revision: target.revision)
            }
        }
        return Commit(oid: head)
    }
}
