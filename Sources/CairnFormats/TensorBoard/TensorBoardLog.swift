// SPDX-License-Identifier: Apache-2.0
/// A run's event file for TensorBoard, written while the run goes.

import Foundation

/// Appends events to a new file of a directory: one file per start of a run.
///
/// A file begins with its version and a start event at the first step that it will hold. So a run
/// that goes on from a checkpoint writes the steps after it again without any of them showing
/// twice: TensorBoard drops what earlier files hold from that step on. It takes the files of a
/// directory in the order of their names; a new name therefore sorts behind all that are there,
/// whatever the clock says.
///
/// Events reach the system with every `append` and the medium with `close`. After a crash the file
/// may end within a record, which readers pass over.
public final class TensorBoardLog {
    /// The event file.
    public let url: URL
    private var sink: FileSink?
    private let clock: @Sendable () -> Double

    /// Creates the file, and the directory where there is none.
    ///
    /// - Parameters:
    ///   - directory: where the file goes.
    ///   - firstStep: the smallest step that will be appended.
    ///   - clock: seconds since 1970.
    public convenience init(
        in directory: URL, firstStep: Int,
        clock: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
    ) throws(FormatError) {
        try self.init(in: directory, firstStep: firstStep, clock: clock, files: SystemFiles())
    }

    package init(
        in directory: URL, firstStep: Int, clock: @escaping @Sendable () -> Double,
        files: some FileOperations
    ) throws(FormatError) {
        if try files.kind(of: directory.path) == .none { try files.makeDirectory(directory.path) }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        } catch {
            throw .system(
                operation: "list", path: directory.path, reason: error.localizedDescription)
        }
        let process = ProcessIdentity.current
        url = directory.appendingPathComponent(
            Self.fileName(now: clock(), host: process.host, process: process.pid, after: names))
        self.clock = clock
        sink = try FileSink(path: url.path, files: files)
        try write(.init(wallTime: clock(), step: 0, .fileVersion))
        try write(.init(wallTime: clock(), step: firstStep, .start))
    }

    deinit { sink?.abandon() }

    /// Appends values of a step.
    ///
    /// After a failure the log is closed, and further calls do nothing: a record that follows half
    /// a record could not be read.
    public func append(
        step: Int, _ scalars: [TensorBoardEvent.Scalar]
    ) throws(FormatError) {
        try write(TensorBoardEvent(wallTime: clock(), step: step, .scalars(scalars)))
    }

    /// Brings the file to the medium and closes it; does nothing when it is closed.
    public func close() throws(FormatError) {
        guard let sink else { return }
        self.sink = nil
        try sink.finish()
    }

    private func write(_ event: TensorBoardEvent) throws(FormatError) {
        do {
            try sink?.write(event.record)
        } catch {
            sink?.abandon()
            sink = nil
            throw error
        }
    }

    // MARK: Names

    /// `events.out.tfevents.<seconds>.<host>.<pid>`, ten digits of seconds: of now, or where that
    /// would not sort last, of one second behind the last of `names`.
    package static func fileName(
        now: Double, host: String, process: Int32, after names: [String]
    ) -> String {
        let seconds = names.compactMap { name -> Int? in
            guard name.hasPrefix(prefix) else { return nil }
            return Int(name.dropFirst(prefix.count).prefix { $0 != "." })
        }
        let last = seconds.max() ?? 0
        let digits = "\(max(Int(now), last + 1))"
        let zeros = String(repeating: "0", count: max(0, 10 - digits.count))
        let machine = host.replacingOccurrences(of: "/", with: "-")
        return "\(prefix)\(zeros)\(digits).\(machine).\(process)"
    }

    private static let prefix = "events.out.tfevents."
}
