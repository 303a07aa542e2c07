// SPDX-License-Identifier: Apache-2.0
/// What a person at the terminal sees, and the signals they send.

import Cairn
import Foundation

/// Standard error, and whether a person looks at it.
enum Terminal {
    static let isInteractive = isatty(2) != 0

    static func error(_ line: String) { write(line + "\n") }

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

    init() { start = clock.now }

    func report(_ event: FineTuneEvent) {
        switch event {
        case .step(let number, let total, let count, let loss, let rate, _, let speed):
            rows += count
            step(number, total, loss, rate, speed)
        case .epoch(let epoch):
            closeLine()
            var line = String(
                format: "epoch %d: train loss %.4f, validation loss %.4f", epoch.epoch,
                epoch.trainLoss, epoch.validationLoss)
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
        }
    }

    private func step(_ number: Int, _ total: Int, _ loss: Double, _ rate: Double, _ speed: Double)
    {
        let now = clock.now
        let (seconds, attoseconds) = (now - start).components
        let elapsed = Double(seconds) + Double(attoseconds) * 1e-18
        let left = elapsed / Double(number) * Double(total - number)
        let text = String(
            format: "step %d/%d, %d rows, loss %.4f, rate %.2e, %.0f tokens/s, %@ left", number,
            total, rows, loss, rate, speed, Self.time(left))
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

/// SIGINT and SIGTERM as a request to stop; a second one leaves at once, with exit code 130.
final class StopSignal: @unchecked Sendable {
    // Unchecked: the flag is behind the lock, the sources are made once and kept.
    private let lock = NSLock()
    private var isRequested = false
    private var sources: [any DispatchSourceSignal] = []

    init() {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [weak self] in self?.receive() }
            source.resume()
            sources.append(source)
        }
    }

    private func receive() {
        lock.lock()
        let isSecond = isRequested
        isRequested = true
        lock.unlock()
        if isSecond { _exit(130) }
        Terminal.error("\nstopping after this micro-batch; a second interrupt leaves at once")
    }

    var isSet: Bool {
        lock.lock()
        defer { lock.unlock() }
        return isRequested
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
