// SPDX-License-Identifier: Apache-2.0
/// Saves beside the training: one at a time, in order, with what became of each.

import Foundation

/// What became of a save.
package enum SaveOutcome: Sendable {
    case saved(name: String, reason: String, SaveResult)
    case failed(name: String, reason: String)
}

/// What a save did besides the checkpoint.
package struct SaveResult: Sendable {
    /// Names of the checkpoints that were removed.
    package var removed: [String] = []
    /// What a user should know.
    package var notes: [String] = []

    package init() {}
}

/// Runs saves on a thread of its own.
///
/// Training waits for the copy that a save is given, and for an earlier save that is still under
/// way; nothing else.
package final class SaveQueue: @unchecked Sendable {
    // Unchecked: what both threads touch is behind the lock.
    private let queue = DispatchQueue(label: "cairn.save", qos: .utility)
    private let group = DispatchGroup()
    private let lock = NSLock()
    private var outcomes: [SaveOutcome] = []

    package init() {}

    /// Starts a save; `wait` was called since the last one.
    package func start(
        _ name: String, reason: String, _ body: @escaping @Sendable () throws -> SaveResult
    ) {
        let save = Save(body)
        queue.async(group: group) { [self] in
            let outcome: SaveOutcome
            do {
                outcome = .saved(name: name, reason: reason, try save.run())
            } catch {
                outcome = .failed(name: name, reason: "\(error)")
            }
            lock.withLock { outcomes.append(outcome) }
        }
    }

    /// A save that lets go of what it holds, a copy of the state, before it counts as over: the
    /// queue would do so at some time after.
    private final class Save: @unchecked Sendable {
        // Unchecked: made on one thread, and run once on another.
        private var body: (() throws -> SaveResult)?

        init(_ body: @escaping () throws -> SaveResult) { self.body = body }

        func run() throws -> SaveResult {
            defer { body = nil }
            return try body!()
        }
    }

    /// Starts other work behind the saves.
    package func perform(_ body: @escaping @Sendable () -> Void) {
        queue.async(group: group) { body() }
    }

    /// Returns when no save is under way.
    package func wait() { group.wait() }

    /// What became of saves since this was asked last.
    package func takeOutcomes() -> [SaveOutcome] {
        lock.withLock {
            defer { outcomes = [] }
            return outcomes
        }
    }
}
