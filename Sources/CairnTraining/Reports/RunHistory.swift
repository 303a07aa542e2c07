// SPDX-License-Identifier: Apache-2.0
/// What a run did, as a value that reports are made of.

/// Steps, epochs, settings and figures of a run, as far as it has come.
///
/// Reports are functions of this value alone: the same history gives the same bytes. Numbers may be
/// NaN or infinite; a report shows them as such.
public struct RunHistory: Sendable {
    /// An optimizer step, counted from 1 over all epochs.
    public struct Step: Sendable, Equatable {
        /// From 1.
        public var number: Int
        /// From 1.
        public var epoch: Int
        /// The mean loss of the step's rows.
        public var loss: Double
        /// The rate of the step.
        public var learningRate: Double
        /// The norm of the gradient before it was clipped; nil where nobody asked.
        public var gradientNorm: Double?
        /// Rows and real tokens of the step, in the seconds that it took; nil where only a ledger
        /// tells of the step.
        public var throughput: Throughput?

        /// What a step did.
        public init(
            number: Int, epoch: Int, loss: Double, learningRate: Double, gradientNorm: Double?,
            throughput: Throughput?
        ) {
            self.number = number
            self.epoch = epoch
            self.loss = loss
            self.learningRate = learningRate
            self.gradientNorm = gradientNorm
            self.throughput = throughput
        }
    }

    /// An epoch that ended, counted from 1.
    public struct Epoch: Sendable, Equatable {
        /// From 1.
        public var number: Int
        /// Steps of the run when the epoch ended.
        public var step: Int
        /// The mean loss of the epoch's rows.
        public var trainLoss: Double
        /// The share that was right, where the task has one; so in the next ones.
        public var trainAccuracy: Double?
        /// The mean loss of the validation rows.
        public var validationLoss: Double?
        /// The share of the validation rows that was right.
        public var validationAccuracy: Double?
        /// The mean of the classes' F1.
        public var validationMacroF1: Double?
        /// Of the last step.
        public var learningRate: Double
        /// Rows and real tokens of the epoch, in the seconds of its training steps.
        public var throughput: Throughput
        /// Seconds of the validation.
        public var validationSeconds: Double?

        /// What an epoch did.
        public init(
            number: Int, step: Int, trainLoss: Double, trainAccuracy: Double? = nil,
            validationLoss: Double? = nil, validationAccuracy: Double? = nil,
            validationMacroF1: Double? = nil, learningRate: Double, throughput: Throughput,
            validationSeconds: Double? = nil
        ) {
            self.number = number
            self.step = step
            self.trainLoss = trainLoss
            self.trainAccuracy = trainAccuracy
            self.validationLoss = validationLoss
            self.validationAccuracy = validationAccuracy
            self.validationMacroF1 = validationMacroF1
            self.learningRate = learningRate
            self.throughput = throughput
            self.validationSeconds = validationSeconds
        }
    }

    /// A name with its value, as a person should read it.
    public struct Fact: Sendable, Equatable {
        /// What it is called.
        public var name: String
        /// What it is.
        public var value: String

        /// A name with its value.
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
    /// The epochs that are over.
    public var epochs: [Epoch] = []
    /// The number of the best epoch.
    public var bestEpoch: Int?
    /// Seconds of the whole run by what they were spent on, over all its starts.
    public var timing = RunTiming()
    /// Rows and real tokens trained on in the whole run.
    public var rows = 0
    /// Real tokens trained on in the whole run.
    public var tokens = 0
    /// What the run was asked to do.
    public var settings: [Fact] = []
    /// SHA-256 of data, tokenizer, base weights, state.
    public var digests: [Fact] = []
    /// The largest memory the process held, in bytes.
    public var peakByteCount: Int?
    /// The best checkpoint on rows that took no part in choosing it, and what the rows are called.
    public var test: Evaluation?
    /// What the test rows are called.
    public var testName = "test rows"
    /// The bootstrap of the test's figures.
    public var intervals: BootstrapIntervals?

    /// A history without steps.
    public init(title: String, status: String) {
        self.title = title
        self.status = status
    }

    /// The training of the whole run.
    public var throughput: Throughput {
        Throughput(rows: rows, tokens: tokens, seconds: timing.training)
    }
}

// MARK: Runs of the fine-tuner

extension RunHistory {
    /// The epochs, times and sums of a run's state.
    public init(title: String, state: RunState, steps: [Step] = []) {
        self.init(title: title, status: state.status.rawValue.replacing("_", with: " "))
        self.steps = steps
        epochs = state.epochs.map(Epoch.init)
        bestEpoch = state.best?.epoch
        timing = state.timing
        rows = state.trainedRows
        tokens = state.trainedTokens
    }
}

extension RunHistory.Step {
    /// A step as the loop reports it.
    public init(_ report: StepReport) {
        self.init(
            number: report.step, epoch: report.epoch, loss: report.loss,
            learningRate: report.learningRate, gradientNorm: report.norm,
            throughput: Throughput(
                rows: report.rows, tokens: report.tokens, seconds: report.seconds))
    }

    /// A step of an earlier start of the run.
    public init(_ entry: LedgerEntry) {
        self.init(
            number: entry.step, epoch: entry.epoch, loss: entry.loss,
            learningRate: entry.learningRate, gradientNorm: entry.norm, throughput: nil)
    }
}

extension RunHistory.Epoch {
    /// An epoch as the loop reports it.
    public init(_ report: EpochReport) {
        self.init(
            number: report.epoch, step: report.step, trainLoss: report.trainLoss,
            trainAccuracy: report.trainAccuracy, validationLoss: report.validationLoss,
            validationAccuracy: report.validationAccuracy,
            validationMacroF1: report.validationMacroF1, learningRate: report.learningRate,
            throughput: Throughput(
                rows: report.rows, tokens: report.tokens, seconds: report.seconds),
            validationSeconds: report.validationSeconds)
    }
}
