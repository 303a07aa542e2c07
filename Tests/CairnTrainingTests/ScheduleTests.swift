// SPDX-License-Identifier: Apache-2.0
/// Learning rates by step, next to those of transformers' Trainer.

import CairnFormats
import CairnTraining
import Foundation
import Testing

@Suite struct ScheduleTests {
    private func rates(
        _ shape: Schedule.Shape, warmup: Double = 0.3, total: Int = 10
    ) -> [Double] {
        let schedule = Schedule(shape, peak: 2, warmup: warmup, totalSteps: total)
        return (0..<total).map { schedule.learningRate(at: $0) / 2 }
    }

    private func agree(_ actual: [Double], _ expected: [Double]) -> Bool {
        // The table has six digits.
        actual.count == expected.count
            && zip(actual, expected).allSatisfy { abs($0 - $1) <= 5.1e-7 }
    }

    /// The Trainer's first step has rate 0 and does nothing: it warms up as s / warmup. Cairn warms
    /// up as (s + 1) / warmup, so that the first step counts and the last of the warm-up has the
    /// peak. After it both are the same.
    static let warmup = [1 / 3.0, 2 / 3.0, 1]

    @Test func `linear falls as transformers has it after the warm-up`() {
        #expect(
            agree(
                rates(.linear),
                Self.warmup + [1, 0.857143, 0.714286, 0.571429, 0.428571, 0.285714, 0.142857]))
    }

    @Test func `cosine falls as transformers has it after the warm-up`() {
        #expect(
            agree(
                rates(.cosine),
                Self.warmup + [1, 0.950484, 0.811745, 0.61126, 0.38874, 0.188255, 0.049516]))
    }

    @Test func `constant stays at the peak`() {
        #expect(agree(rates(.constant), Self.warmup + [Double](repeating: 1, count: 7)))
    }

    @Test func `without a warm-up the first step has the peak`() {
        for shape in Schedule.Shape.allCases {
            #expect(rates(shape, warmup: 0)[0] == 1)
        }
        #expect(agree(rates(.linear, warmup: 0, total: 4), [1, 0.75, 0.5, 0.25]))
    }

    @Test func `a warm-up of every step only rises`() {
        #expect(agree(rates(.cosine, warmup: 1, total: 4), [0.25, 0.5, 0.75, 1]))
    }

    @Test func `a share of the steps is rounded up`() {
        #expect(Schedule(.linear, peak: 1, warmup: 0.1, totalSteps: 11).warmupSteps == 2)
        #expect(Schedule(.linear, peak: 1, warmup: 0.1, totalSteps: 30).warmupSteps == 3)
    }

    /// Beside the functions of transformers themselves, 23 steps with 3 of warm-up. Past the end
    /// their cosine rises again; ours stays.
    @Test(arguments: [
        ("linear", Schedule.Shape.linear, Schedule.Options()),
        ("cosine", .cosine, .init()),
        ("cosine to 0.1", .cosine, .init(minimumRatio: 0.1)),
        ("polynomial 2 to 0.1", .polynomial, .init(minimumRatio: 0.1, power: 2)),
        ("polynomial 0.5", .polynomial, .init(power: 0.5)),
        ("inverse-sqrt", .inverseSqrt, .init()),
        ("cosine-restarts 4", .cosineRestarts, .init(cycles: 4)),
    ])
    func `after the warm-up every shape has transformers' own rates`(
        name: String, shape: Schedule.Shape, options: Schedule.Options
    ) throws {
        let expected = try Self.transformersRates(name)
        let schedule = Schedule(shape, peak: 1, warmupSteps: 3, totalSteps: 23, options: options)

        for step in 3...23 {
            let rate = schedule.learningRate(at: step)
            // The cosine is rounded to fp32.
            #expect(abs(rate - expected[step]) <= 6e-8, "step \(step)")
        }
        #expect(schedule.learningRate(at: 0) == 1 / 3.0)
        #expect(schedule.learningRate(at: 2) == 1)
    }

    @Test func `the inverse square root without a warm-up has transformers' timescale`() throws {
        let expected = try Self.transformersRates("inverse-sqrt without warm-up")
        let schedule = Schedule(.inverseSqrt, peak: 1, warmupSteps: 0, totalSteps: 23)

        for step in expected.indices {
            #expect(abs(schedule.learningRate(at: step) - expected[step]) <= 1e-15)
        }
    }

    private static func transformersRates(_ name: String) throws -> [Double] {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent(
                "Fixtures/optimizers/optimizers.json")
        let rates = try JSONValue.parse(contentsOf: url)["schedules"]?[name]?.array
        return try #require(rates).map { $0.number! }
    }

    @Test func `a restart is at the peak again`() {
        let options = Schedule.Options(cycles: 7)
        let schedule = Schedule(
            .cosineRestarts, peak: 2, warmupSteps: 2, totalSteps: 2 + 7 * 3, options: options)

        for cycle in 0..<7 {
            #expect(schedule.learningRate(at: 2 + 3 * cycle) == 2)
            #expect(schedule.learningRate(at: 4 + 3 * cycle) < 0.6)
        }
        #expect(schedule.learningRate(at: 2 + 7 * 3) == 0)
    }

    @Test func `the end rate is a share of the peak`() {
        for shape in [Schedule.Shape.linear, .cosine, .polynomial, .cosineRestarts] {
            let schedule = Schedule(
                shape, peak: 2, warmup: 0, totalSteps: 9, options: .init(minimumRatio: 0.25))

            #expect(schedule.learningRate(at: 9) == 0.5)
            #expect(schedule.learningRate(at: 0) == 2)
        }
    }

    @Test func `the flag's words are the shapes' names`() {
        let words = [
            "constant", "linear", "cosine", "polynomial", "inverse-sqrt", "cosine-restarts",
        ]

        #expect(Schedule.Shape.allCases.map(\.rawValue) == words)
    }

    @Test(arguments: Schedule.Shape.allCases)
    func `a schedule comes back from its JSON text`(shape: Schedule.Shape) throws {
        let options = Schedule.Options(minimumRatio: 0.1, power: 1.5, cycles: 3)
        let schedule = Schedule(shape, peak: 3e-4, warmup: 0.1, totalSteps: 77, options: options)

        let text = try JSONValue.object(schedule.json).serialized()
        let json = try JSONValue.parse(text, file: "state.json").object

        #expect(try Schedule(json: try #require(json), file: "state.json") == schedule)
    }

    @Test(arguments: [
        (
            "shape", JSONValue.string("step"),
            "constant, linear, cosine, polynomial, "
                + "inverse-sqrt, cosine-restarts", "'step'"
        ),
        ("peak", .number(-1), "a number of at least 0", "-1.0"),
        ("peak", .number(.infinity), "a number of at least 0", "inf"),
        ("warmup_steps", .number(1.5), "a whole number in 0...1000000000", "1.5"),
        ("total_steps", .string("9"), "a whole number in 0...1000000000", "'9'"),
        ("minimum_ratio", .number(.nan), "a number in [0, 1]", "nan"),
        ("power", .integer(0), "a positive number", "0.0"),
        ("cycles", .integer(0), "a whole number in 1...1000000", "0.0"),
        ("cycles", .integer(.max), "a whole number in 1...1000000", "9.223372036854776e+18"),
    ])
    func `a schedule that makes no sense is refused by its key`(
        key: String, value: JSONValue, expected: String, found: String
    ) {
        var json = Schedule(.cosine, peak: 1, warmup: 0, totalSteps: 9).json
        json[key] = value

        #expect(
            throws: TrainingError.badMetadata(
                file: "state.json", key: key, expected: expected, found: found)
        ) { try Schedule(json: json, file: "state.json") }
    }

    @Test func `every key of a schedule is needed`() {
        let json = Schedule(.cosine, peak: 1, warmup: 0, totalSteps: 9).json
        for key in json.keys {
            var rest = json
            rest[key] = nil
            #expect(throws: TrainingError.self) { try Schedule(json: rest, file: "f") }
        }
    }

    @Test func `past the end the rate is zero`() {
        let schedule = Schedule(.linear, peak: 1, warmup: 0, totalSteps: 4)

        #expect(schedule.learningRate(at: 4) == 0)
        #expect(schedule.learningRate(at: 40) == 0)
    }
}
