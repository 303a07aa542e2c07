// SPDX-License-Identifier: Apache-2.0
/// What a publication will send, settled before the first byte leaves.

import CairnFormats
import Foundation

/// How a directory is to be published.
public struct PublishOptions: Sendable {
    /// For a repository that does not exist yet.
    public var isPrivate = false
    /// Opens a pull request instead of committing to the branch.
    public var createsPullRequest = false
    /// The branch, made from `main` where there is none of the name.
    public var revision = "main"
    /// The first line is the commit's title, the rest its description.
    public var message = "Publish with Cairn"
    /// What stands for the base in place of a path of this machine.
    public var base: RepositoryID?
    /// Files to publish beyond those of a model: `*` and `?` over whole paths.
    public var include: [String] = []
    /// Markdown for the card, in place of the section that an earlier publication put there; the
    /// card is made where there is none.
    public var cardSection: String?

    /// Everything at its default.
    public init() {}
}

/// A file as it will be in the repository.
public struct PublishFile: Sendable {
    enum Content: Sendable {
        case file(URL)
        case rewritten(Data)
    }

    /// In the repository, with "/" between its parts.
    public let path: String
    /// Bytes as they are sent.
    public let size: Int
    /// In 64 lower-case hexadecimal digits.
    public let sha256: String
    /// What was rewritten, as a phrase; nil for a file that goes out byte for byte.
    public let change: String?
    let content: Content
    /// The beginning, by which the Hub tells text from binary.
    let sample: Data

    static let sampleSize = 512

    init(path: String, file: URL) throws(FormatError) {
        let mapped = try MappedFile(contentsOf: file)
        defer { withExtendedLifetime(mapped) {} }
        var hash = SHA256()
        hash.update(mapped.bytes)
        self.path = path
        size = mapped.bytes.count
        sha256 = hash.hex
        change = nil
        content = .file(file)
        sample = Data(mapped.bytes.prefix(Self.sampleSize))
    }

    init(path: String, rewritten data: Data, change: String) {
        self.path = path
        size = data.count
        sha256 = SHA256.hex(of: data)
        self.change = change
        content = .rewritten(data)
        sample = data.prefix(Self.sampleSize)
    }

    /// The bytes; throws when they are no longer those that the plan was made of.
    package func bytes() throws -> Data {
        switch content {
        case .rewritten(let data): return data
        case .file(let url):
            let mapped = try MappedFile(contentsOf: url)
            defer { withExtendedLifetime(mapped) {} }
            let data = Data(mapped.bytes)
            let found = SHA256.hex(of: data)
            guard found == sha256 else {
                throw HubError.changedFile(
                    file: path, expected: "SHA-256 \(sha256)", found: found)
            }
            return data
        }
    }
}

/// The files that will be published, and those that stay.
public struct PublishPlan: Sendable {
    /// What is published from.
    public let directory: URL
    /// What is published to.
    public let repository: RepositoryID
    /// How.
    public let options: PublishOptions
    /// By path, in the order of their bytes.
    public let files: [PublishFile]
    /// What stays on this machine, and why.
    public let leftOut: [(path: String, reason: String)]

    /// Bytes of all files together.
    public var byteCount: Int { files.reduce(0) { $0 + $1.size } }

    /// Reads a directory, rewrites what names this machine, digests every file.
    ///
    /// `base_model_name_or_path`, `base_model`, `_name_or_path` and `name_or_path` are the members
    /// that may hold a path: with a base given, they say its id; a snapshot of the Hub's cache says
    /// its repository; else an adapter is refused, and the others lose the member. Any other path
    /// below the home directory, the directory itself or the working directory is refused, and
    /// so is a manifest that disagrees with its files. The rewritten manifest lists what is
    /// published, as it is published.
    ///
    /// - Throws: `HubError` naming file and place; `FormatError` for a file that cannot be read.
    public init(
        directory: URL, repository: RepositoryID, options: PublishOptions = PublishOptions(),
        machine: PrivatePlaces? = nil
    ) throws {
        guard repository.namespace != nil else {
            throw HubError.badName(
                kind: "repository to publish to", name: repository.description,
                expected: "ORG/NAME, with your own name or an organization's")
        }
        _ = try RepositoryReference(repository, revision: options.revision)
        self.directory = directory
        self.repository = repository
        self.options = options
        let list = AllowList(patterns: options.include)
        var taken: [(path: String, file: URL)] = []
        var leftOut: [(path: String, reason: String)] = []
        for (path, file) in try Self.regularFiles(of: directory) {
            if let reason = list.reason(against: path) {
                leftOut.append((path, reason))
            } else {
                taken.append((path, file))
            }
        }
        guard taken.contains(where: { !Self.isDocument($0.path) }) else {
            throw HubError.nothingToPublish(
                directory: directory.path, advice: Self.advice(for: directory, leftOut))
        }
        let cleaner = try FileCleaner(
            directory: directory, machine: machine ?? PrivatePlaces(directory: directory),
            base: options.base, cardSection: options.cardSection)
        var files = try taken.filter { $0.path != Manifest.fileName }.map {
            try cleaner.published($0.path, $0.file)
        }
        if let manifest = taken.first(where: { $0.path == Manifest.fileName }) {
            files.append(try cleaner.publishedManifest(manifest.file, of: files, taken: taken))
        }
        if let section = options.cardSection, !files.contains(where: { $0.path == "README.md" }) {
            var card = CardText("# \(repository)\n")
            _ = card.setSection(section)
            files.append(
                PublishFile(
                    path: "README.md", rewritten: Data(card.text.utf8),
                    change: "made, to tell of the gate"))
        }
        self.files = files.sorted { $0.path.utf8Precedes($1.path) }
        self.leftOut = leftOut
    }

    /// Every regular file below a directory, by its path, links to files followed.
    private static func regularFiles(of directory: URL) throws -> [(path: String, file: URL)] {
        let manager = FileManager.default
        let paths: [String]
        do {
            paths = try manager.subpathsOfDirectory(atPath: directory.path)
        } catch {
            throw FormatError.system(
                operation: "list", path: directory.path, reason: error.localizedDescription)
        }
        return paths.sorted { $0.utf8Precedes($1) }.compactMap { path in
            var isDirectory: ObjCBool = false
            let file = directory.appendingPathComponent(path)
            guard manager.fileExists(atPath: file.path, isDirectory: &isDirectory),
                !isDirectory.boolValue
            else { return nil }
            return (path, file)
        }
    }

    /// What accompanies a model and is none.
    private static func isDocument(_ path: String) -> Bool {
        path == Manifest.fileName || path == "README.md" || path.hasPrefix("LICENSE")
            || path.hasPrefix("NOTICE")
    }

    private static func advice(
        for directory: URL, _ leftOut: [(path: String, reason: String)]
    ) -> String {
        let checkpoints = ["best", "latest"].filter { name in
            leftOut.contains { $0.path.hasPrefix(name + "/") }
        }
        if let name = checkpoints.first {
            return "it holds a run's checkpoints; publish one of them, as \(name) in it"
        }
        return leftOut.isEmpty
            ? "it holds no files" : "it holds no file of a model; --include names others"
    }
}
