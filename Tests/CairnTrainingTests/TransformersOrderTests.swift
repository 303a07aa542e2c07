// SPDX-License-Identifier: Apache-2.0
/// The numbers of torch's optimizer against those that the real Trainer gave.

import CairnModels
import CairnTraining
import Foundation
import Testing

@Suite struct TransformersOrderTests {
    static let cases: [String] =
        (try? TransformersFixture.json("order.json").object?.keys) ?? []

    @Test func `every family has its cases`() {
        #expect(Self.cases.count == 6 * 4 + 1)
    }

    @Test(arguments: cases)
    func `parameters come in the Trainer's order, and decay as there`(name: String) throws {
        let parts = name.split(separator: " ").map(String.init)
        let encoders = ["bert", "roberta"]
        let some = encoders.contains(parts[0]) ? ["query", "value"] : ["q_proj", "v_proj"]
        let method: Method =
            switch parts[1] {
            case "full": .full
            case "two": .lora(AdapterConfiguration(rank: 2, targets: .names(some)))
            default: .lora(AdapterConfiguration(rank: 2, usesDoRA: parts[1] == "dora"))
            }
        let model = try TransformersFixture.model(parts[0], method: method)
        let rows = try #require(try TransformersFixture.json("order.json")[name]?.array)
        let expected = rows.map { $0.array![0].string! }

        let order = TorchParameterOrder(for: model, parts.last == "older" ? .four : .five)

        #expect(order.names == expected)
        #expect(
            order.names.map(TorchParameterOrder.decays) == rows.map { $0.array![1].bool! })
        #expect(order.names.sorted() == model.parameters.trainableNames)
    }
}
