// SPDX-License-Identifier: Apache-2.0
/// history.csv and the TensorBoard names, line by line.

import CairnFormats
import CairnTraining
import Foundation
import Testing

@Suite struct HistoryTableTests {
    private static func step(_ number: Int, epoch: Int, loss: Double = 0.5) -> RunHistory.Step {
        RunHistory.Step(
            number: number, epoch: epoch, loss: loss, learningRate: 1e-05, gradientNorm: 1.5,
            throughput: Throughput(rows: 2, tokens: 10, seconds: 0.25))
    }

    private static func epoch(_ number: Int, step: Int) -> RunHistory.Epoch {
        RunHistory.Epoch(
            number: number, step: step, trainLoss: 0.5, validationLoss: 0.25, learningRate: 1e-05,
            throughput: Throughput(rows: 4, tokens: 20, seconds: 0.5), validationSeconds: 0.125)
    }

    private func lines(_ history: RunHistory) -> [String] {
        String(decoding: history.csv, as: UTF8.self).components(separatedBy: "\r\n")
    }

    @Test func `every line has every column, and ends with CR LF`() {
        for (name, history) in ExampleHistories.all where history.steps.count < 1000 {
            let lines = lines(history)

            #expect(lines[0] == RunHistory.columns.joined(separator: ","))
            #expect(lines.last == "")
            #expect(lines.count == 2 + history.steps.count + history.epochs.count, "\(name)")
            for line in lines.dropLast() {
                #expect(line.split(separator: ",", omittingEmptySubsequences: false).count == 16)
            }
        }
    }

    @Test func `an epoch stands behind its steps`() {
        var history = RunHistory(title: "t", status: "s")
        history.steps = [
            Self.step(1, epoch: 1), Self.step(2, epoch: 1), Self.step(3, epoch: 2),
            Self.step(4, epoch: 3),
        ]
        history.epochs = [Self.epoch(1, step: 2), Self.epoch(2, step: 3)]

        let kinds = lines(history).dropFirst().map { String($0.prefix { $0 != "," }) }

        #expect(kinds == ["step", "step", "epoch", "step", "epoch", "step", ""])
    }

    @Test func `fields of a step and of an epoch`() {
        var history = RunHistory(title: "t", status: "s")
        history.steps = [Self.step(1, epoch: 1, loss: -.infinity)]
        history.epochs = [Self.epoch(1, step: 1)]
        history.epochs[0].trainLoss = .nan

        let lines = lines(history)

        #expect(lines[1] == "step,1,1,-inf,1e-05,1.5,2,10,0.25,8.0,40.0,,,,,")
        #expect(
            lines[2] == "epoch,1,1,nan,1e-05,,4,20,0.5,8.0,40.0,,0.25,,,0.125")
    }

    @Test func `a step of the ledger has loss, rate and norm`() {
        let entry = LedgerEntry(
            step: 7, epoch: 2, batch: "", loss: 0.5, learningRate: 0.25, norm: 2, state: "")
        var history = RunHistory(title: "t", status: "s")
        history.steps = [RunHistory.Step(entry)]

        #expect(lines(history)[1] == "step,2,7,0.5,0.25,2.0,,,,,,,,,,")
        #expect(
            history.steps[0].scalars.map(\.tag) == [
                "train/loss", "train/learning_rate", "train/gradient_norm",
            ])
    }

    @Test func `the state of a run gives epochs, times and sums`() {
        var state = RunState(runID: "r")
        state.status = .stoppedEarly
        state.timing = RunTiming(training: 2, validation: 1, saving: 0.5)
        (state.trainedRows, state.trainedTokens) = (8, 100)

        let history = RunHistory(title: "t", state: state)

        #expect(history.status == "stopped early" && history.bestEpoch == nil)
        #expect(history.timing.total == 3.5)
        #expect(history.throughput.tokensPerSecond == 50)
    }

    @Test func `a step's values by their TensorBoard names`() {
        var step = Self.step(1, epoch: 1)

        #expect(
            step.scalars == [
                .init("train/loss", 0.5), .init("train/learning_rate", 1e-05),
                .init("train/gradient_norm", 1.5), .init("throughput/rows_per_second", 8),
                .init("throughput/tokens_per_second", 40),
            ])
        step.gradientNorm = nil
        step.throughput?.seconds = 0
        #expect(step.scalars.map(\.tag) == ["train/loss", "train/learning_rate"])
    }

    @Test func `an epoch's values by their TensorBoard names`() {
        #expect(
            Self.epoch(3, step: 1).scalars == [
                .init("epoch/number", 3), .init("epoch/train_loss", 0.5),
                .init("validation/loss", 0.25), .init("seconds/training", 0.5),
                .init("seconds/validation", 0.125),
            ])
    }
}
