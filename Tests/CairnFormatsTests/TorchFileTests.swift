// SPDX-License-Identifier: Apache-2.0
/// Files that torch wrote: their values, their tensors, and what is refused in them.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct TorchFileTests {
    @Test func `plain data of every kind is read`() throws {
        let value = try TorchFixture.value("kinds.pt")

        #expect(value["none"]?.isNone == true)
        #expect(value["true"]?.bool == true && value["false"]?.bool == false)
        #expect(value["small"]?.integer == 7 && value["word"]?.integer == 60000)
        #expect(value["negative"]?.integer == -5 && value["long"]?.integer == 1 << 40)
        #expect(value["longest"]?.integer == .min && value["half"]?.number == 0.5)
        #expect(value["text"]?.string == "h\u{E9} \u{4E2D}")
        #expect(
            value.dictionary?.contains { $0.key.integer == 3 && $0.value.string == "three" }
                == true)
        #expect(value["list"]?.elements?[1].elements?[1].string == "x")
        #expect(value["tuple"]?.elements?.count == 0 && value["pair"]?.elements?.count == 2)
        #expect(value["four"]?.elements?.compactMap(\.integer) == [1, 2, 3, 4])
        #expect(
            value["shared"]?.elements?.compactMap { $0.elements?.first?.string }
                == ["shared", "shared"])
    }

    static let base: [Float] = (0..<24).map(Float.init)

    static let views: [(name: String, shape: Shape, numbers: [Float])] = [
        ("whole", [4, 6], base),
        ("transposed", [6, 4], (0..<6).flatMap { i in (0..<4).map { Float(6 * $0 + i) } }),
        ("row", [6], Array(base[12..<18])),
        ("column", [4], [1, 7, 13, 19]),
        ("every_other", [2, 3], [1, 3, 5, 13, 15, 17]),
        ("scalar", [], [3]),
        ("empty", [0, 5], []),
        ("bf16", [2], [1.5, -2]),
        ("f16", [1], [0.25]),
        ("i64", [2], [-0x1p62, 5]),
        ("i32", [2, 1], [1, 2]),
        ("i16", [1], [-3]),
        ("i8", [1], [-4]),
        ("u8", [1], [255]),
        ("bool", [2], [1, 0]),
        ("last", [2], [22, 23]),
    ]

    @Test(arguments: views.map(\.name))
    func `a tensor is read in its shape, whatever its view of the storage`(name: String) throws {
        let expected = try #require(Self.views.first { $0.name == name })

        let tensor = try #require(try TorchFixture.value("tensors.pt")[name]?.tensor)

        #expect(tensor.shape == expected.shape)
        #expect(tensor.floats() == expected.numbers)
    }

    @Test func `a double keeps its bits`() throws {
        let value = try TorchFixture.value("tensors.pt")

        #expect(value["f64"]?.tensor?.doubles() == [1e300])
    }

    @Test func `the state of a module is read without its versions`() throws {
        let value = try TorchFixture.value("module.pt")

        #expect(value.dictionary?.compactMap(\.key.string) == ["weight", "bias"])
        #expect(value["weight"]?.tensor?.shape == [1, 2])
    }

    @Test func `protocol 4 is read`() throws {
        #expect(try TorchFixture.value("protocol4.pt")["a"]?.tensor?.floats() == [0, 1])
    }

    @Test func `a file that would run something is refused by the name of what it would run`() {
        let error = #expect(throws: FormatError.self) { try TorchFixture.value("runs.pt") }

        #expect(
            error?.description.hasSuffix(
                "runs.pt: data.pkl, byte 17: expected data, a tensor or "
                    + "collections.OrderedDict, found the name 'posix.system'") == true)
    }

    @Test func `what is written reads back, with the same bytes for the same value`() throws {
        let tensor = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        let value = TorchValue.members([
            "a": .tensor(tensor), "b": .list([1, 2.5, "x", .none, true]), "c": .tuple([]),
            "d": .dictionary([(3, .integer(.min)), (4, -7)]), "e": .tensor(Tensor(zeros: [0])),
        ])
        let data = try TorchWriter.data(value, name: "x")
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("x.pt")
            try data.write(to: url)

            let read = try TorchFile(contentsOf: url).value

            #expect(read["a"]?.tensor?.floats() == tensor.floats())
            #expect(read["a"]?.tensor?.shape == [2, 3] && read["e"]?.tensor?.shape == [0])
            #expect(read["d"]?.dictionary?[0].value.integer == .min)
            #expect(try TorchWriter.data(read, name: "x") == data)
        }
    }

    @Test func `a type that torch has no storage for is not written`() {
        let value = TorchValue.tensor(Tensor(zeros: [2], dtype: .f8e4m3))

        let error = #expect(throws: FormatError.self) { try TorchWriter.data(value, name: "x") }

        #expect(
            error?.description
                == "x: tensor 0: expected a type with a storage class in torch, found F8_E4M3")
    }
}
