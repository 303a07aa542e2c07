// SPDX-License-Identifier: Apache-2.0
/// Closures that run at the events of a fit, with what they may depend on.

/// An event, by the type of what its hooks are given.
public struct HookEvent<Context>: Sendable {
    /// What files call the event.
    public let name: String

    init(_ name: String) { self.name = name }
}

/// The hooks of a trainer.
///
///     trainer.hooks.on(.afterEpoch, every: 5) { print($0.row.epochLoss ?? .nan) }
///
/// Hooks of an event run by ascending priority, those of one priority in the order in which they
/// were added. `every: n` runs a hook at its event's first occurrence, then at each n-th after
/// it, counted over the run's whole life and through a resume, whether or not the condition held.
/// `once` runs it the first time that everything else allows.
public final class Hooks {
    /// What hooks remember.
    public struct Counters: Sendable, Equatable {
        /// By the hook's name: how often its event occurred.
        public var occurrences: [String: Int] = [:]
        /// The names of hooks with `once` that have run.
        public var done: Set<String> = []

        /// Nothing has occurred.
        public init() {}
    }

    private struct Registration {
        let event: String
        let name: String
        let priority: Int
        let every: Int
        let once: Bool
        let condition: ((Any) -> Bool)?
        let action: (Any) throws -> Void

        /// Counts the event; whether the hook is to run.
        func isDue(_ context: Any, _ counters: inout Counters) -> Bool {
            let number = counters.occurrences[name, default: 0]
            counters.occurrences[name] = number + 1
            guard number % every == 0, condition?(context) ?? true else { return false }
            return !once || counters.done.insert(name).inserted
        }
    }

    private var registrations: [Registration] = []
    /// What the hooks remember.
    public var counters = Counters()

    /// No hooks.
    public init() {}

    /// Adds a hook and returns the hooks, so that calls can be chained.
    ///
    /// A saved run knows the hook's counters by its name: event and number when none is given.
    ///
    /// - Precondition: `every` is positive, and no other hook has the name.
    @discardableResult
    public func on<Context>(
        _ event: HookEvent<Context>, name: String? = nil, priority: Int = 0, every: Int = 1,
        once: Bool = false, if condition: ((Context) -> Bool)? = nil,
        _ action: @escaping (Context) throws -> Void
    ) -> Hooks {
        precondition(every > 0, "a hook runs every 1 or more times, got \(every)")
        let number = registrations.count { $0.event == event.name }
        let name = name ?? "\(event.name)/\(number)"
        precondition(!names.contains(name), "two hooks are called '\(name)'")
        // The event's type says what its contexts are, so the casts cannot fail.
        let hook = Registration(
            event: event.name, name: name, priority: priority, every: every, once: once,
            condition: condition.map { condition in { condition($0 as! Context) } },
            action: { try action($0 as! Context) })
        let place =
            registrations.firstIndex { $0.priority > priority } ?? registrations.endIndex
        registrations.insert(hook, at: place)
        return self
    }

    /// Adds the hooks of a pack: a function that adds hooks.
    @discardableResult
    public func use(_ pack: (Hooks) throws -> Void) rethrows -> Hooks {
        try pack(self)
        return self
    }

    /// Takes over the hooks of others, without what they remember.
    func adopt(_ other: Hooks) { registrations = other.registrations }

    /// The names of all hooks.
    public var names: Set<String> { Set(registrations.map(\.name)) }

    /// Whether any hook is of the event.
    func listen<Context>(to event: HookEvent<Context>) -> Bool {
        registrations.contains { $0.event == event.name }
    }

    /// Runs the hooks of an event that are due.
    func emit<Context>(_ event: HookEvent<Context>, _ context: Context) throws {
        for hook in registrations where hook.event == event.name {
            if hook.isDue(context, &counters) { try hook.action(context) }
        }
    }

    /// Counts an event that is still to come, without running anything: what a state saved before
    /// it must hold so that the resumed run does not count it again.
    func count<Context>(
        _ event: HookEvent<Context>, _ context: Context, into counters: inout Counters
    ) {
        for hook in registrations where hook.event == event.name {
            _ = hook.isDue(context, &counters)
        }
    }
}
