// SPDX-License-Identifier: Apache-2.0
/// Parameter groups: who is in which, and what a state says of them.

import CairnFormats
import CairnModels
import CairnTensor
import CairnTraining
import Testing

@Suite struct OptimizerGroupTests {
    static let rules: [UpdateRule] = [
        .adamW(), .adam(weightDecay: 0.1), .sgd(), .sgd(momentum: 0.9),
        .sgd(momentum: 0.9, nesterov: true, weightDecay: 0.01), .lion(weightDecay: 0.1),
    ]

    @Test(arguments: rules)
    func `one group of everything is a plain optimizer`(rule: UpdateRule) throws {
        let (plain, grouped) = (try SmallRun(), try SmallRun())

        let one = try Optimizer(rule, parameters: plain.parameters)
        let other = try Optimizer(
            groups: [
                ParameterGroup("w", .suffix("weight"), rule),
                ParameterGroup("b", .suffix("bias"), rule),
            ],
            parameters: grouped.parameters)
        try plain.train(one, steps: 3)
        try grouped.train(other, steps: 3)

        #expect(plain.numbers == grouped.numbers)
        #expect(StateDigest.of(one) == StateDigest.of(other))
    }

    @Test func `each parameter moves by the first group that selects it`() throws {
        let runs = try (0..<3).map { _ in try SmallRun() }
        let groups = [
            ParameterGroup("bias", .suffix(".bias"), .sgd(momentum: 0.9)),
            ParameterGroup("rest", .everything, .adamW(weightDecay: 0.5)),
        ]

        // One step only: after it each parameter's gradient depends on the others' moves.
        try runs[0].train(Optimizer(groups: groups, parameters: runs[0].parameters), steps: 1)
        try runs[1].train(
            Optimizer(.sgd(momentum: 0.9), parameters: runs[1].parameters), steps: 1)
        try runs[2].train(
            Optimizer(.adamW(weightDecay: 0.5), parameters: runs[2].parameters), steps: 1)

        for name in ["0.bias", "2.bias"] { #expect(runs[0].numbers[name] == runs[1].numbers[name]) }
        for name in ["0.weight", "2.weight"] {
            #expect(runs[0].numbers[name] == runs[2].numbers[name])
        }
    }

    @Test func `a group's learning rate is the run's times its factor`() throws {
        let (quick, slow) = (try SmallRun(), try SmallRun())

        let half = ParameterGroup("all", .everything, .sgd(), learningRateFactor: 0.5)
        try quick.train(
            Optimizer(groups: [half], parameters: quick.parameters), steps: 3, learningRate: 0.2)
        try slow.train(Optimizer(.sgd(), parameters: slow.parameters), steps: 3, learningRate: 0.1)

        #expect(quick.numbers == slow.numbers)
    }

    @Test func `weight decay is one word of a rule`() {
        #expect(UpdateRule.adamW(beta1: 0.8).weightDecay(0) == .adamW(beta1: 0.8, weightDecay: 0))
        #expect(
            UpdateRule.sgd(momentum: 0.5, nesterov: true).weightDecay(2)
                == .sgd(momentum: 0.5, nesterov: true, weightDecay: 2))
        #expect(UpdateRule.lion().weightDecay(0.3) == .lion(weightDecay: 0.3))
        #expect(UpdateRule.adam().weightDecay(0.3) == .adam(weightDecay: 0.3))
    }

    @Test func `selectors choose by name and shape`() throws {
        let names = ["0.weight", "0.bias", "10.bias"]
        func chosen(_ selector: ParameterSelector) -> [String] {
            names.filter { selector.matches($0, dimensions: $0.hasSuffix("bias") ? [4] : [4, 3]) }
        }

        #expect(chosen(.everything) == names)
        #expect(chosen(.names("0.bias", "bias")) == ["0.bias"])
        #expect(chosen(.prefix("0.")) == ["0.weight", "0.bias"])
        #expect(chosen(.suffix(".weight", "10.bias")) == ["0.weight", "10.bias"])
        #expect(chosen(try .pattern(#"^\d\."#)) == ["0.weight", "0.bias"])
        #expect(chosen(.matching("matrices") { $1.count == 2 }) == ["0.weight"])
        #expect(throws: (any Error).self) { try ParameterSelector.pattern("(") }
    }

    @Test func `what groups leave out, take twice or never find is one error`() throws {
        let run = try SmallRun()
        let groups = [
            ParameterGroup("head", .prefix("2."), .adamW()),
            ParameterGroup("head", .names("0.weight"), .sgd()),
            ParameterGroup("norm", .suffix("norm.weight"), .adamW(weightDecay: 0)),
        ]

        let error = #expect(throws: TrainingError.self) {
            try Optimizer(groups: groups, parameters: run.parameters)
        }

        #expect(
            error?.description
                == "the optimizer's groups do not fit the model: '0.bias' is in no group; two "
                + "groups are called 'head'; group 'norm' (names ending in norm.weight) takes none "
                + "of the parameters")
    }

    @Test(arguments: rules)
    func `C6 a restored optimizer goes on with the same bits`(rule: UpdateRule) throws {
        let (whole, first, second) = (try SmallRun(), try SmallRun(), try SmallRun(seed: 9))
        let original = try Optimizer(rule, parameters: whole.parameters)
        try whole.train(original, steps: 7)

        let half = try Optimizer(rule, parameters: first.parameters)
        try first.train(half, steps: 3)
        for (name, numbers) in first.numbers { second.parameters.set(name, to: numbers) }
        let resumed = try Optimizer(rule, parameters: second.parameters)
        #expect(resumed.problems(restoring: half.state).isEmpty)
        resumed.restore(half.state)
        try second.train(resumed, steps: 4)

        #expect(
            StateDigest.of(original) == StateDigest.of(resumed)
        )
        #expect(resumed.step == 7)
    }

    static let groups = [
        ParameterGroup("bias", .suffix(".bias"), .sgd(momentum: 0.9)),
        ParameterGroup("head", .prefix("2."), .lion(weightDecay: 0.1)),
        ParameterGroup("rest", .everything, .adam(), learningRateFactor: 0.1),
    ]

    @Test func `C7 M10 restored groups of different rules go on with the same bits`() throws {
        let (whole, first, second) = (try SmallRun(), try SmallRun(), try SmallRun(seed: 9))
        let original = try Optimizer(groups: Self.groups, parameters: whole.parameters)
        try whole.train(original, steps: 7)

        let half = try Optimizer(groups: Self.groups, parameters: first.parameters)
        try first.train(half, steps: 3)
        for (name, numbers) in first.numbers { second.parameters.set(name, to: numbers) }
        let resumed = try Optimizer(groups: Self.groups, parameters: second.parameters)
        resumed.restore(half.state)
        try second.train(resumed, steps: 4)

        #expect(
            StateDigest.of(original) == StateDigest.of(resumed)
        )
    }

    @Test func `a state says of every group what it is and who is in it`() throws {
        let run = try SmallRun()

        let state = try Optimizer(groups: Self.groups, parameters: run.parameters).state

        #expect(state.groups.map(\.name) == ["bias", "head", "rest"])
        #expect(state.groups.map(\.kind) == ["sgd", "lion", "adam"])
        #expect(
            state.groups.map(\.parameters) == [["0.bias", "2.bias"], ["2.weight"], ["0.weight"]])
        #expect(
            state.groups[0].hyperparameters
                == ["momentum": 0.9, "nesterov": 0, "weight_decay": 0, "learning_rate_factor": 1])
        for group in state.groups {
            let text = try JSONValue.object(group.json).serialized()
            let json = try JSONValue.parse(text, file: "state.json")
            #expect(try OptimizerState.Group(json: json, file: "state.json") == group)
        }
    }

    @Test func `a group's JSON that lacks a key is refused by it`() throws {
        let run = try SmallRun()
        let json = try Optimizer(parameters: run.parameters).state.groups[0].json
        for key in json.keys {
            var rest = json
            rest[key] = nil
            let error = #expect(throws: TrainingError.self) {
                try OptimizerState.Group(json: .object(rest), file: "state.json")
            }
            #expect(error?.description.contains("'\(key)'") == true)
        }
    }
}
