// SPDX-License-Identifier: Apache-2.0
/// When a request is sent again, and after how long.

/// Up to five retries, on passing trouble only.
///
/// Waits 1, 2, 4, 8 and 8 s. `Retry-After: N` waits N + 1 s instead, and so does a 429 whose
/// `RateLimit` header holds `t=N`: one more than asked for, because N is rounded down.
package struct RetrySchedule: Sendable {
    static let waits: [Double] = [1, 2, 4, 8, 8]
    static let passing: Set<Int> = [408, 429, 500, 502, 503, 504]
    /// Nobody sits through more.
    static let longestWait = 300

    package enum Verdict: Equatable {
        case wait(seconds: Double)
        /// The trouble stays, or all retries are spent.
        case stop
        /// The Hub asks for more than `longestWait`.
        case tooLong(seconds: Int)
    }

    package init() {}

    /// What to do after `retries` retries, with this answer or, when it is nil, with none.
    package func verdict(retries: Int, response: HubResponse?) -> Verdict {
        guard retries < Self.waits.count else { return .stop }
        guard let response else { return .wait(seconds: Self.waits[retries]) }
        guard Self.passing.contains(response.status) else { return .stop }
        guard let asked = Self.askedSeconds(response) else {
            return .wait(seconds: Self.waits[retries])
        }
        return asked > Self.longestWait
            ? .tooLong(seconds: asked) : .wait(seconds: Double(asked + 1))
    }

    private static func askedSeconds(_ response: HubResponse) -> Int? {
        if let text = response[header: "Retry-After"], let seconds = whole(text) { return seconds }
        guard response.status == 429, let limit = response[header: "RateLimit"] else { return nil }
        return limit.split(whereSeparator: { $0 == ";" || $0 == "," || $0 == " " })
            .first { $0.hasPrefix("t=") }.flatMap { whole(String($0.dropFirst(2))) }
    }

    /// The seconds form alone; a date leaves the schedule as it is.
    private static func whole(_ text: String) -> Int? {
        Int(text).flatMap { $0 >= 0 && $0 < Int.max ? $0 : nil }
    }
}
