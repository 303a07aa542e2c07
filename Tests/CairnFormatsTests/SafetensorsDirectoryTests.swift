// SPDX-License-Identifier: Apache-2.0
/// Model directories: one file, several, and what is refused.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct SafetensorsDirectoryTests {
    /// A file of tensors that hold one number each.
    func put(_ values: [String: Float], as name: String, in directory: URL) throws {
        let data = try SafetensorsWriter.data(values.mapValues { Tensor([$0], shape: [1]) })
        try data.write(to: directory.appendingPathComponent(name))
    }

    func put(_ text: String, as name: String, in directory: URL) throws {
        try Data(text.utf8).write(to: directory.appendingPathComponent(name))
    }

    /// The sentence of the error of opening `directory`, which it calls `DIR`.
    func refusal(_ directory: URL) -> String? {
        let error = #expect(throws: FormatError.self) {
            try SafetensorsDirectory(contentsOf: directory)
        }
        return error?.description.replacingOccurrences(of: directory.path, with: "DIR")
    }

    @Test func `a single file is the model`() throws {
        try withScratchDirectory { directory in
            try put(["b": 1, "a": 2], as: "model.safetensors", in: directory)
            try put("not read", as: "model.safetensors.index.json", in: directory)

            let model = try SafetensorsDirectory(contentsOf: directory)

            #expect(model.names == ["a", "b"])
            #expect(model.files.map(\.lastPathComponent) == ["model.safetensors"])
            #expect(model.tensor(named: "a")?.floats() == [2])
            #expect(model.tensor(named: "c") == nil)
            #expect(model.unlisted.isEmpty)
        }
    }

    @Test func `shards are one name space, and what the index leaves out is reported`() throws {
        try withScratchDirectory { directory in
            try put(["a": 1, "b": 2], as: "m-1.safetensors", in: directory)
            try put(["c": 3, "b": 9, "x": 4], as: "m-2.safetensors", in: directory)
            try put(
                #"{"metadata":{"total_size":1.2e1},"weight_map":{"c":"m-2.safetensors","#
                    + #""a":"m-1.safetensors","b":"m-1.safetensors"}}"#,
                as: "model.safetensors.index.json", in: directory)

            let model = try SafetensorsDirectory(contentsOf: directory)

            #expect(model.names == ["a", "b", "c"])
            #expect(model.names.map { model.tensor(named: $0)?.floats() } == [[1], [2], [3]])
            #expect(model.file(of: "c")?.lastPathComponent == "m-2.safetensors")
            #expect(model.file(of: "x") == nil)
            #expect(model.tensor(named: "x") == nil)
            #expect(model.unlisted.map(\.name) == ["b", "x"])
            #expect(
                model.unlisted.map(\.file.lastPathComponent) == [
                    "m-2.safetensors", "m-2.safetensors",
                ])
        }
    }

    static let badIndices: [(String, String)] = [
        (
            #"{"weight_map":{"a":"m.safetensors","z":"m.safetensors"}}"#,
            "DIR/m.safetensors: tensor 'z': expected it here, by model.safetensors.index.json, "
                + "found none"
        ),
        (
            #"{"weight_map":{"a":"n.safetensors"}}"#,
            "cannot open DIR/n.safetensors: No such file or directory (errno 2)"
        ),
        (
            #"{"weight_map":{"a":"../m.safetensors"}}"#,
            "DIR/model.safetensors.index.json: weight_map 'a': "
                + "expected a file name without folders, found '../m.safetensors'"
        ),
        (
            #"{"weight_map":{"a":".."}}"#,
            "DIR/model.safetensors.index.json: weight_map 'a': "
                + "expected a file name without folders, found '..'"
        ),
        (
            #"{"weight_map":{"a":1}}"#,
            "DIR/model.safetensors.index.json: weight_map 'a': "
                + "expected a file name without folders, found an integer"
        ),
        (
            #"{"weight_map":{}}"#,
            "DIR/model.safetensors.index.json: weight_map: "
                + "expected an object of names and files, found an empty one"
        ),
        (
            "{}",
            "DIR/model.safetensors.index.json: weight_map: "
                + "expected an object of names and files, found none"
        ),
        (
            #"{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}"#,
            "DIR/model.safetensors.index.json, line 1 (byte 35): "
                + "expected every key once, found 'a' again"
        ),
    ]

    @Test(arguments: badIndices)
    func `a bad index is refused with its reason`(index: String, sentence: String) throws {
        try withScratchDirectory { directory in
            try put(["a": 1], as: "m.safetensors", in: directory)
            try put(index, as: "model.safetensors.index.json", in: directory)
            #expect(refusal(directory) == sentence)
        }
    }

    static let withoutWeights: [([String], String)] = [
        (
            ["config.json", "pytorch_model.bin"],
            "(it holds config.json, pytorch_model.bin): PyTorch pickles can run code and are not opened; load the model once in Python with transformers and write it with save_pretrained, which gives model.safetensors"
        ),
        (
            ["weights.safetensors"],
            "(it holds weights.safetensors): rename the file that holds the whole model to model.safetensors, or add model.safetensors.index.json"
        ),
        (
            ["adapter_model.safetensors"],
            "(it holds adapter_model.safetensors): this is an adapter; name the directory of its base model"
        ),
        (
            ["README.md"],
            "(it holds README.md): expected model.safetensors or model.safetensors.index.json"
        ),
        ([], "(it is empty): expected model.safetensors or model.safetensors.index.json"),
    ]

    @Test(arguments: withoutWeights)
    func `a directory without weights is refused with advice`(
        names: [String], rest: String
    ) throws {
        try withScratchDirectory { directory in
            for name in names { try put("x", as: name, in: directory) }
            #expect(refusal(directory) == "DIR holds no weights that can be read " + rest)
        }
    }

    @Test func `a path that is no directory is refused by the system's reason`() throws {
        try withScratchDirectory { directory in
            try put("x", as: "file", in: directory)
            #expect(
                refusal(directory.appendingPathComponent("none"))
                    == "cannot open DIR: No such file or directory (errno 2)")
            #expect(
                refusal(directory.appendingPathComponent("file"))
                    == "cannot open DIR: Not a directory (errno 20)")
        }
    }
}
