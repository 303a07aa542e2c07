// SPDX-License-Identifier: Apache-2.0
/// What a person at the terminal sees, and the signals they send.

import Cairn
import Foundation

/// Standard error, and whether a person looks at it.
enum Terminal {
    static let isInteractive = isatty(2) != 0

    /// Of several ranks one speaks, so that nothing is said twice.
    static func error(_ line: String) {
        if Launcher.here.rank == 0 { write(line + "\n") }
    }

    static func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

/// Progress of a run: a bar that rewrites itself on a terminal, plain lines elsewhere.
final class Progress {
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var lastShown: ContinuousClock.Instant?
    private var rows = 0
    private var isLineOpen = false
    private var lastTenth = 0

    /// Steps that were taken before this process took over.
    private let earlier: Int
    /// Whether the loss is of tokens: then its exponential is what people know.
    private let showsPerplexity: Bool

    init(from step: Int = 0, showsPerplexity: Bool = false) {
        start = clock.now
        earlier = step
        self.showsPerplexity = showsPerplexity
    }

    func report(_ event: FineTuneEvent) {
        switch event {
        case .step(let done):
            rows += done.rows
            step(done)
        case .epoch(let epoch):
            closeLine()
            var line = String(
                format: "epoch %d: train loss %.4f, validation loss %.4f", epoch.epoch,
                epoch.trainLoss, epoch.validationLoss)
            if showsPerplexity {
                line += String(format: ", perplexity %.2f", exp(epoch.validationLoss))
            }
            if let accuracy = epoch.validationAccuracy {
                line += String(format: ", validation accuracy %.4f", accuracy)
            }
            line += String(
                format: ", %.1f s, %.0f tokens/s", epoch.seconds,
                epoch.seconds > 0 ? Double(epoch.tokens) / epoch.seconds : 0)
            Terminal.error(line)
        case .saved(let name, let reason):
            closeLine()
            Terminal.error("saved \(name) (\(reason))")
        case .saveFailed(let name, let reason):
            closeLine()
            Terminal.error("could not save \(name): \(reason); the run goes on")
        case .removed(let name):
            closeLine()
            Terminal.error("removed \(name)")
        case .note(let text):
            closeLine()
            Terminal.error("note: \(text)")
        }
    }

    private func step(_ done: StepReport) {
        let (number, total) = (done.step, done.totalSteps)
        let now = clock.now
        let (seconds, attoseconds) = (now - start).components
        let elapsed = Double(seconds) + Double(attoseconds) * 1e-18
        let left = elapsed / Double(max(number - earlier, 1)) * Double(total - number)
        let text = String(
            format: "step %d/%d, %d rows, loss %.4f, rate %.2e, %.0f tokens/s, %@ left", number,
            total, rows, done.loss, done.learningRate, done.tokensPerSecond, Self.time(left))
        if Terminal.isInteractive {
            guard lastShown == nil || now - lastShown! > .milliseconds(100) || number == total
            else { return }
            lastShown = now
            let width = 20
            let filled = width * number / max(total, 1)
            let bar =
                String(repeating: "#", count: filled)
                + String(repeating: ".", count: width - filled)
            Terminal.write("\r[\(bar)] \(text)\u{1B}[K")
            isLineOpen = true
        } else if number * 10 / max(total, 1) > lastTenth {
            lastTenth = number * 10 / max(total, 1)
            Terminal.error(text)
        }
    }

    private func closeLine() {
        if isLineOpen { Terminal.write("\n") }
        isLineOpen = false
    }

    private static func time(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        return whole < 60 ? "\(whole) s" : String(format: "%d:%02d", whole / 60, whole % 60)
    }
}

/// SIGINT and SIGTERM as a request to stop, of which a second one leaves at once with exit code
/// 130; SIGUSR1 as a request to save and go on.
final class StopSignal: @unchecked Sendable {
    // Unchecked: the flag is behind the lock, the sources are made once and kept.
    private let lock = NSLock()
    private var isRequested = false
    private var wantsSave = false
    private var sources: [any DispatchSourceSignal] = []

    init() {
        for number in [SIGINT, SIGTERM] { handle(number) { $0.receive() } }
        handle(SIGUSR1) { signal in signal.lock.withLock { signal.wantsSave = true } }
    }

    private func handle(_ number: Int32, _ action: @escaping @Sendable (StopSignal) -> Void) {
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { [weak self] in self.map(action) }
        source.resume()
        sources.append(source)
    }

    private func receive() {
        lock.lock()
        let isSecond = isRequested
        isRequested = true
        lock.unlock()
        if isSecond { _exit(130) }
        let lost =
            Launcher.here.size > 1
            ? "; where a rank was lost the launcher ends all of them, and 'cairn resume' goes on "
                + "from the newest checkpoint" : ""
        Terminal.error(
            "\nstopping after this micro-batch; a second interrupt leaves at once\(lost)")
    }

    var isSet: Bool {
        lock.withLock { isRequested }
    }

    /// Whether a save was asked for since this was asked last.
    func takeSaveRequest() -> Bool {
        lock.withLock {
            defer { wantsSave = false }
            return wantsSave
        }
    }
}

extension JSONValue {
    /// Prints the document on standard output.
    func printed() throws {
        FileHandle.standardOutput.write(try serialized() + Data("\n".utf8))
    }

    static func optional(_ number: Double?) -> JSONValue { number.map { .number($0) } ?? .null }
    static func integer(_ number: Int) -> JSONValue { .integer(Int64(number)) }
}
