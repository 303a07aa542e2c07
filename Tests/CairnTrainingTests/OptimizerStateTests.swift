// SPDX-License-Identifier: Apache-2.0
/// Which states an optimizer refuses, and which differences it only names.

import CairnModels
import CairnTensor
import CairnTraining
import Testing

@Suite struct OptimizerStateTests {
    private func optimizer(_ groups: [ParameterGroup]) throws -> Optimizer {
        try Optimizer(groups: groups, parameters: SmallRun().parameters)
    }

    private func optimizer(_ rule: UpdateRule) throws -> Optimizer {
        try Optimizer(rule, parameters: SmallRun().parameters)
    }

    @Test func `a state of another kind is refused`() throws {
        let state = try optimizer(.adamW()).state

        let problems = try optimizer(.adam()).problems(restoring: state)

        #expect(
            problems == ["group 'all' of the optimizer is adam, the state's group 'all' is adamw"])
    }

    /// Both have a slot `v`, of another meaning.
    @Test func `momentum SGD does not take Adam's second moments for its velocity`() throws {
        let state = try optimizer(.adam()).state

        #expect(try !optimizer(.sgd(momentum: 0.9)).problems(restoring: state).isEmpty)
    }

    @Test func `the kind is compared parameter by parameter`() throws {
        let state = try optimizer([
            ParameterGroup("bias", .suffix("bias"), .lion()),
            ParameterGroup("rest", .everything, .adamW()),
        ]).state
        let regrouped = try optimizer([
            ParameterGroup("weights", .suffix("weight"), .adamW()),
            ParameterGroup("others", .everything, .lion()),
        ])
        let mixed = try optimizer([
            ParameterGroup("first", .prefix("0."), .adamW()),
            ParameterGroup("others", .everything, .lion()),
        ])

        #expect(regrouped.problems(restoring: state).isEmpty)
        #expect(
            mixed.problems(restoring: state) == [
                "group 'first' of the optimizer is adamw, the state's group 'bias' is lion",
                "group 'others' of the optimizer is lion, the state's group 'rest' is adamw",
            ])
    }

    @Test func `names on one side only are refused`() throws {
        var state = try optimizer(.adamW()).state
        state.groups[0].parameters = ["0.bias", "0.weight", "2.weight", "4.bias"]

        #expect(
            try optimizer(.adamW()).problems(restoring: state) == [
                "the state has no group for '2.bias'",
                "the state's group 'all' has '4.bias', which does not train",
            ])
    }

    @Test func `a name in two groups of a state is refused`() throws {
        var state = try optimizer(.adamW()).state
        state.groups.append(state.groups[0])
        state.groups[1].parameters = ["0.bias"]

        #expect(
            try optimizer(.adamW()).problems(restoring: state)
                == ["the state has '0.bias' in two groups"])
    }

    @Test func `slots are compared with the parameters, all of them in one list`() throws {
        var state = try optimizer(.adamW()).state
        state.slots["0.bias"]!["m"] = nil
        state.slots["0.weight"]!["v"] = Tensor(zeros: Shape([3, 4]))
        state.slots["2.bias"]!["u"] = Tensor(zeros: Shape([2]))
        state.slots["5.bias"] = ["m": Tensor(zeros: Shape([2]))]

        #expect(
            try optimizer(.adamW()).problems(restoring: state) == [
                "slot 'm' of '0.bias' is missing",
                "slot 'v' of '0.weight' is F32 [3, 4], expected F32 [4, 3]",
                "slot 'u' of '2.bias' belongs to nothing that trains",
                "slot 'm' of '5.bias' belongs to nothing that trains",
            ])
    }

    @Test func `other hyper-parameters are changes, not problems`() throws {
        let state = try optimizer(.adamW(beta1: 0.8, weightDecay: 0.1)).state
        let other = try optimizer([
            ParameterGroup("bias", .suffix("bias"), .adamW(beta1: 0.8, weightDecay: 0)),
            ParameterGroup(
                "rest", .everything, .adamW(beta1: 0.8, weightDecay: 0.1), learningRateFactor: 2),
        ])

        #expect(other.problems(restoring: state).isEmpty)
        #expect(
            other.changes(restoring: state).map(\.description) == [
                "weight_decay of group 'bias' is 0.0, in the state 0.1",
                "learning_rate_factor of group 'rest' is 2.0, in the state 1.0",
            ])
        #expect(try optimizer(.adamW(beta1: 0.8, weightDecay: 0.1)).changes(restoring: state) == [])
    }

    @Test func `a number that the state does not know is a change`() throws {
        var state = try optimizer(.adamW()).state
        state.groups[0].hyperparameters["epsilon"] = nil

        #expect(
            try optimizer(.adamW()).changes(restoring: state)
                == [HyperparameterChange(group: "all", key: "epsilon", saved: nil, current: 1e-8)])
    }
}
