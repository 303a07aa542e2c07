// SPDX-License-Identifier: Apache-2.0
/// Everything that can go wrong between a folder and the Hub.

/// Why something could not be published or pulled; `description` is one sentence to act on.
///
/// No case ever holds a token or the query of a signed address.
public enum HubError: Error, Equatable, Sendable {
    /// A name that cannot be a repository, a revision or an endpoint.
    case badName(kind: String, name: String, expected: String)
    /// No token was found in any of the places that were searched.
    case tokenMissing(searched: [String])
    /// What was found in `place` cannot be a token.
    case badToken(place: String, reason: String)
    /// The Hub does not know the token.
    case tokenRefused(endpoint: String, place: String)
    /// The network is switched off by the environment.
    case offline(request: String, variable: String)
    /// No answer arrived, or only part of one.
    case network(request: String, reason: String)
    /// The Hub answered with an error.
    case refused(request: String, status: Int, message: String, requestID: String?)
    /// The Hub asks to wait longer than anyone sits through.
    case busy(request: String, seconds: Int)
    /// The repository does not exist, or the token does not see it.
    case repositoryNotFound(repository: String, hasToken: Bool)
    /// The repository has no such branch, tag or commit.
    case revisionNotFound(repository: String, revision: String)
    /// The revision has no such file.
    case fileNotFound(repository: String, revision: String, path: String)
    /// The repository's terms have to be accepted first.
    case gated(repository: String, message: String)
    /// An answer lacks something or holds something else.
    case badAnswer(request: String, place: String, expected: String, found: String)
    /// The branch moved between reading and writing it.
    case stale(repository: String, revision: String)
    /// A commit was sent and its answer was lost.
    case commitUnknown(repository: String, revision: String, reason: String)
    /// The Hub refuses the front matter of README.md.
    case cardRefused(file: String, messages: [String])
    /// A directory holds nothing that may be published.
    case nothingToPublish(directory: String, advice: String)
    /// A file changed while it was being published, or since its manifest was written.
    case changedFile(file: String, expected: String, found: String)
    /// A path of this machine stands in a file that would be published.
    case localPath(file: String, place: String, found: String, advice: String)
    /// Training state stands in a file that would be published.
    case trainingState(file: String, found: String)
    /// The small files of one commit are too many for it.
    case commitTooLarge(bytes: Int, limit: Int)
    /// Downloaded bytes are not the ones that were promised.
    case badDownload(file: String, what: String, expected: String, found: String)
    /// The name is neither a directory nor in the cache, and the network is off or away.
    case notCached(repository: String, revision: String, cache: String, reason: String)
    /// A snapshot in the cache lacks files.
    case incompleteSnapshot(directory: String, missing: [String])
    /// A word that is neither a directory nor a repository's name.
    case notAModel(String, reason: String)
}

extension HubError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .badName(let kind, let name, let expected):
            "'\(name)' is no \(kind): expected \(expected)"
        case .tokenMissing(let searched):
            "no token for the Hub: none in \(searched.joined(separator: ", "))"
        case .badToken(let place, let reason):
            "\(place) holds no token: \(reason)"
        case .tokenRefused(let endpoint, let place):
            "\(endpoint) does not know the token from \(place)"
        case .offline(let request, let variable):
            "\(variable) switches the network off, so \(request) was not sent"
        case .network(let request, let reason):
            "\(request): no answer (\(reason))"
        case .refused(let request, let status, let message, let requestID):
            "\(request): the Hub answers \(status): \(message)"
                + (requestID.map { " (request \($0))" } ?? "")
        case .busy(let request, let seconds):
            "\(request): the Hub asks to wait \(seconds) s; run the same command again after that"
        case .repositoryNotFound(let repository, let hasToken):
            "the Hub has no repository \(repository)"
                + (hasToken ? " that this token sees" : " that can be seen without a token")
        case .revisionNotFound(let repository, let revision):
            "\(repository) has no revision '\(revision)'"
        case .fileNotFound(let repository, let revision, let path):
            "\(repository) has no file \(path) at revision \(revision)"
        case .gated(let repository, let message):
            "\(repository) is gated: \(message)"
        case .badAnswer(let request, let place, let expected, let found):
            "\(request): \(place) of the answer: expected \(expected), found \(found)"
        case .stale(let repository, let revision):
            "\(repository) got another commit on '\(revision)' meanwhile, so nothing was committed;"
                + " run the same command again"
        case .commitUnknown(let repository, let revision, let reason):
            "the commit to \(repository) on '\(revision)' was sent but its answer was lost "
                + "(\(reason)); look at the repository before running the command again"
        case .cardRefused(let file, let messages):
            "\(file): the Hub refuses its front matter: \(messages.joined(separator: "; "))"
        case .nothingToPublish(let directory, let advice):
            "\(directory) holds nothing to publish: \(advice)"
        case .changedFile(let file, let expected, let found):
            "\(file) changed: expected \(expected), found \(found)"
        case .localPath(let file, let place, let found, let advice):
            "\(file), \(place): '\(found)' is a path of this machine; \(advice)"
        case .trainingState(let file, let found):
            "\(file) holds training state (\(found)), which is never published"
        case .commitTooLarge(let bytes, let limit):
            "the small files of this commit hold \(bytes) bytes; one commit takes \(limit)"
        case .badDownload(let file, let what, let expected, let found):
            "\(file): \(what) of the download: expected \(expected), found \(found)"
        case .notCached(let repository, let revision, let cache, let reason):
            "\(repository) at '\(revision)' is not in \(cache), and \(reason)"
        case .incompleteSnapshot(let directory, let missing):
            "\(directory) lacks \(missing.prefix(3).joined(separator: ", "))"
                + (missing.count > 3 ? " and \(missing.count - 3) more files" : "")
                + "; pull it again with the network on"
        case .notAModel(let word, let reason):
            "'\(word)' is no directory, and \(reason)"
        }
    }
}
