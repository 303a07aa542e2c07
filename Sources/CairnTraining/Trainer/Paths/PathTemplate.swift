// SPDX-License-Identifier: Apache-2.0
/// Checkpoint paths with placeholders, read and checked before training starts.

/// What the path of a checkpoint may depend on.
public struct PathContext: Sendable, Equatable {
    /// From 0.
    public var epoch: Int
    /// The epoch counted from 1.
    public var nextEpoch: Int { epoch + 1 }
    /// Optimizer steps taken.
    public var step: Int
    /// The monitor's value; nil where the epoch gave none.
    public var monitor: Double?
    /// What the monitored value is called.
    public var monitorName: String
    /// The epoch's training loss, where it is over.
    public var epochLoss: Double?
    /// The epoch's validation loss, where there is one.
    public var validationLoss: Double?
    /// Whether the epoch is the best so far.
    public var improved: Bool

    /// The facts of a checkpoint.
    public init(
        epoch: Int, step: Int, monitor: Double? = nil, monitorName: String = "epoch_loss",
        epochLoss: Double? = nil, validationLoss: Double? = nil, improved: Bool = false
    ) {
        self.epoch = epoch
        self.step = step
        self.monitor = monitor
        self.monitorName = monitorName
        self.epochLoss = epochLoss
        self.validationLoss = validationLoss
        self.improved = improved
    }
}

/// A path with placeholders: `ck/ep-%<epoch>03d-%{monitor}.safetensors`.
///
/// With a `/` at its end the checkpoint is a directory.
///
/// `%{name}` writes a value: integers plain, numbers as the shortest text that reads back as the
/// same bits (`3.0`, `0.42`, `1e-05`), `nan`, `inf`, `-inf`, `true`, `false`, and `none` where
/// there is no value. `%<name>` goes on as in printf: flags `-`, `0`, `+`, space, then width,
/// precision and one of `d`, `f`, `e`, `g`, `s`. `%%` writes `%`. The names are those of
/// `Placeholder`. What a placeholder writes never holds a `/`.
public struct PathTemplate: Sendable, Equatable {
    /// What may stand between `%<` and `>`, or `%{` and `}`.
    public enum Placeholder: String, CaseIterable, Sendable {
        /// As the member of `PathContext` of that name.
        case epoch, step, monitor, improved
        /// The epoch counted from 1.
        case nextEpoch = "next_epoch"
        /// What the monitored value is called.
        case monitorName = "monitor_name"
        /// The epoch's training loss.
        case epochLoss = "epoch_loss"
        /// The epoch's validation loss.
        case validationLoss = "val_loss"
    }

    enum Part: Sendable, Equatable {
        case text(String)
        case value(Placeholder, PrintFormat?)
    }

    /// The template as it was written.
    public let text: String
    let parts: [Part]

    /// Reads a template.
    ///
    /// - Throws: `TrainerError.template` with the place of an unknown placeholder, a stray `%`, a
    ///   conversion that does not fit its value, or a `..` that leads out of a directory.
    public init(_ text: String) throws(TrainerError) {
        var reader = TemplateReader(text)
        parts = try reader.read()
        self.text = text
        try checkPlace()
    }

    /// The names that occur.
    public var placeholders: Set<Placeholder> {
        Set(
            parts.compactMap { part in
                if case .value(let name, _) = part { name } else { nil }
            })
    }

    /// Whether every save goes to the same path.
    public var isFixed: Bool { placeholders.isEmpty }

    /// Whether two epochs, or two steps within one, get two paths.
    public func distinguishes(steps: Bool) -> Bool {
        steps
            ? placeholders.contains(.step)
            : !placeholders.isDisjoint(with: [.epoch, .nextEpoch, .step])
    }

    /// The folders before the first placeholder, `.` where there are none: what a run manages.
    public var directory: String {
        var literal = ""
        if case .text(let text)? = parts.first { literal = text }
        if isFixed, literal.last == "/" { literal.removeLast() }
        guard let slash = literal.lastIndex(of: "/") else { return "." }
        return slash == literal.startIndex ? "/" : String(literal[..<slash])
    }

    /// The path of a checkpoint.
    ///
    /// - Throws: `TrainerError.path` when a value holds a `/`.
    public func path(_ context: PathContext) throws(TrainerError) -> String {
        var path = ""
        for part in parts {
            switch part {
            case .text(let text): path += text
            case .value(let name, let format):
                let value = name.value(in: context)
                let written = format.map { $0.write(value) } ?? value.text
                guard !written.contains(where: { $0 == "/" || $0 == "\0" }) else {
                    throw .path(text, reason: "%{\(name.rawValue)} is '\(written)', with a '/'")
                }
                path += written
            }
        }
        return path
    }

    private func checkPlace() throws(TrainerError) {
        guard !text.isEmpty, text != "/", !text.hasSuffix("//") else {
            throw .template(text, character: text.count, reason: "it names no file")
        }
        var place = 0
        for part in text.split(separator: "/", omittingEmptySubsequences: false) {
            if part == ".." {
                throw .template(
                    text, character: place + 1, reason: "'..' leads out of the directory")
            }
            place += part.count + 1
        }
    }
}

extension PathTemplate.Placeholder {
    func value(in context: PathContext) -> TemplateValue {
        switch self {
        case .epoch: .integer(context.epoch)
        case .nextEpoch: .integer(context.nextEpoch)
        case .step: .integer(context.step)
        case .monitor: .number(context.monitor)
        case .epochLoss: .number(context.epochLoss)
        case .validationLoss: .number(context.validationLoss)
        case .monitorName: .text(context.monitorName)
        case .improved: .text(context.improved ? "true" : "false")
        }
    }

    /// The conversions that fit the placeholder's value.
    var conversions: String {
        switch self {
        case .epoch, .nextEpoch, .step: "dfegs"
        case .monitor, .epochLoss, .validationLoss: "fegs"
        case .monitorName, .improved: "s"
        }
    }
}
