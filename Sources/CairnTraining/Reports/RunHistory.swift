// SPDX-License-Identifier: Apache-2.0
/// What a run did, as a value that reports are made of.

/// Steps, epochs, settings and figures of a run, as far as it has come.
///
/// Reports are functions of this value alone: the same history gives the same bytes. Numbers may be
/// NaN or infinite; a report shows them as such.
public struct RunHistory: Sendable {
    /// An optimizer step, counted from 1 over all epochs.
    public struct Step: Sendable, Equatable {
        public var number: Int
        public var epoch: Int
        public var loss: Double
        public var learningRate: Double
        /// The norm of the gradient before it was clipped; nil where nobody asked.
        public var gradientNorm: Double?
        public var rows: Int
        /// Real tokens.
        public var tokens: Int
        public var seconds: Double

        public init(
            number: Int, epoch: Int, loss: Double, learningRate: Double, gradientNorm: Double?,
            rows: Int, tokens: Int, seconds: Double
        ) {
            self.number = number
            self.epoch = epoch
            self.loss = loss
            self.learningRate = learningRate
            self.gradientNorm = gradientNorm
            self.rows = rows
            self.tokens = tokens
            self.seconds = seconds
        }
    }

    /// An epoch that ended, counted from 1.
    public struct Epoch: Sendable, Equatable {
        public var number: Int
        /// Steps of the run when the epoch ended.
        public var step: Int
        public var trainLoss: Double
        public var trainAccuracy: Double?
        public var validationLoss: Double?
        public var validationAccuracy: Double?
        public var validationMacroF1: Double?
        public var learningRate: Double
        public var timing: RunTiming

        public init(
            number: Int, step: Int, trainLoss: Double, trainAccuracy: Double? = nil,
            validationLoss: Double? = nil, validationAccuracy: Double? = nil,
            validationMacroF1: Double? = nil, learningRate: Double, timing: RunTiming
        ) {
            self.number = number
            self.step = step
            self.trainLoss = trainLoss
            self.trainAccuracy = trainAccuracy
            self.validationLoss = validationLoss
            self.validationAccuracy = validationAccuracy
            self.validationMacroF1 = validationMacroF1
            self.learningRate = learningRate
            self.timing = timing
        }
    }

    /// A name with its value, as a person should read it.
    public struct Fact: Sendable, Equatable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// What the report is headed.
    public var title: String
    /// How the run ended, or that it goes on: "completed", "interrupted", ...
    public var status: String
    /// In order of their number; some may be left out.
    public var steps: [Step] = []
    public var epochs: [Epoch] = []
    /// Whatever went into the epoch that has not ended.
    public var timing = RunTiming()
    public var settings: [Fact] = []
    /// SHA-256 of data, tokenizer, base weights, state.
    public var digests: [Fact] = []
    /// The largest memory the process held, in bytes.
    public var peakByteCount: Int?
    /// The best checkpoint on rows that took no part in choosing it, and what the rows are called.
    public var test: Evaluation?
    public var testName = "test rows"
    /// The bootstrap of the test's figures.
    public var intervals: BootstrapIntervals?

    public init(title: String, status: String) {
        self.title = title
        self.status = status
    }

    /// The time of all epochs, and of the one that has not ended.
    public var totalTiming: RunTiming { epochs.reduce(timing) { $0 + $1.timing } }

    /// The epoch with the lowest validation loss, the first of equals.
    public var bestEpoch: Epoch? {
        epochs.filter { $0.validationLoss?.isFinite ?? false }
            .min { $0.validationLoss! < $1.validationLoss! }
    }
}
