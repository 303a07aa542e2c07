// SPDX-License-Identifier: Apache-2.0
/// `scheduler.pt`: where the learning rate stands, without the name of its schedule.

import CairnFormats
import Foundation

/// The state dictionary of torch's `LambdaLR`, which transformers makes every schedule from.
///
/// The function itself is not in the file: transformers makes it anew from its arguments.
public struct TorchScheduler: Sendable, Equatable {
    /// The file's name in a checkpoint.
    public static let fileName = "scheduler.pt"

    /// The peak of each group of parameters.
    public var baseRates: [Double]
    /// The rates of the next step.
    public var lastRates: [Double]
    /// Steps done.
    public var step: Int

    /// A state of rates and a step.
    public init(baseRates: [Double], lastRates: [Double], step: Int) {
        self.baseRates = baseRates
        self.lastRates = lastRates
        self.step = step
    }

    /// Reads the file, as data.
    public init(contentsOf url: URL) throws {
        let value = try TorchFile(contentsOf: url).value
        func rates(_ key: String) throws -> [Double] {
            guard let values = value[key]?.elements, !values.isEmpty,
                values.allSatisfy({ $0.number?.isFinite ?? false })
            else {
                throw FormatError.entry(
                    file: url.path, entry: key, expected: "a list of learning rates",
                    found: value[key]?.kind ?? "nothing")
            }
            return values.compactMap(\.number)
        }
        guard let step = value["last_epoch"]?.integer, step >= 0 else {
            throw FormatError.entry(
                file: url.path, entry: "last_epoch", expected: "the number of steps done",
                found: value["last_epoch"]?.kind ?? "nothing")
        }
        self.init(
            baseRates: try rates("base_lrs"), lastRates: try rates("_last_lr"), step: step)
    }

    /// The file's value.
    var value: TorchValue {
        .members([
            "base_lrs": .list(baseRates.map { .number($0) }),
            "last_epoch": .integer(Int64(step)), "_step_count": .integer(Int64(step + 1)),
            "_is_initial": false, "_get_lr_called_within_step": false,
            "_last_lr": .list(lastRates.map { .number($0) }),
            "lr_lambdas": .list(baseRates.map { _ in .dictionary([]) }),
        ])
    }

    /// The schedules without options whose rates are those of the file and of the steps that were
    /// logged, all after the warm-up, where transformers and Cairn agree.
    ///
    /// Several may fit a short history; none where the Trainer used another kind.
    public func schedules(totalSteps: Int, history: [RunHistory.Step]) -> [Schedule] {
        guard let peak = baseRates.first, baseRates.allSatisfy({ $0 == peak }),
            let last = lastRates.first, peak > 0, totalSteps > 0
        else { return [] }
        // The rate of step s is logged under s + 1, the number of steps then done.
        var rates = history.map { (step: $0.number - 1, rate: $0.learningRate) }
        rates.append((step: step, rate: last))
        var warmups: Set<Int> = [0]
        for (step, rate) in rates where step > 0 && rate > 0 && rate < peak {
            let length = (Double(step) * peak / rate).rounded()
            if length <= Double(totalSteps) { warmups.insert(Int(length)) }
        }
        // Step 0 at rate 0 is the start of a warm-up; at the peak there is none.
        if let first = rates.first(where: { $0.step == 0 })?.rate, first > 0 { warmups = [0] }
        return warmups.sorted().flatMap { warmup in
            Schedule.Shape.trainerShapes.map {
                Schedule($0, peak: peak, warmupSteps: warmup, totalSteps: totalSteps)
            }
        }.filter { schedule in
            rates.allSatisfy { step, rate in
                let expected =
                    step < schedule.warmupSteps
                    ? peak * Double(step) / Double(schedule.warmupSteps)
                    : schedule.learningRate(at: step)
                // A cosine is rounded to fp32.
                return abs(rate - expected) <= 1e-7 * peak
            }
        }
    }
}

extension Schedule.Shape {
    /// The shapes that transformers has under the same formula: `constant`, or
    /// `constant_with_warmup`, `linear`, `cosine`, `inverse_sqrt`.
    static let trainerShapes: [Schedule.Shape] = [.constant, .linear, .cosine, .inverseSqrt]
}
