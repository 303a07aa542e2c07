// SPDX-License-Identifier: Apache-2.0
/// What does not fit is refused in one error, and leaves everything as it was.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct ModelFileFitTests {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    /// A file of the small network's tensors after `change`, in any format, without an optimizer.
    private func file(
        _ name: String, _ change: (inout [String: Tensor]) -> Void
    ) throws -> URL {
        let run = try SmallRun()
        var tensors = Dictionary(
            uniqueKeysWithValues: run.parameters.trainableNames.map {
                ($0, run.parameters.tensor($0))
            })
        change(&tensors)
        let url = directory.file(name)
        var sink = DataSink()
        switch try ModelFilePath(savingTo: url).format {
        case .marshal: try MLXRubyCheckpoint(tensors: tensors).writeMarshal(to: &sink)
        case .npz: try NPZWriter.write(tensors, to: &sink)
        case .safetensors: try SafetensorsWriter.write(tensors, to: &sink)
        case .apr: try APRWriter.write(tensors, to: &sink)
        }
        try sink.data.write(to: url)
        return url
    }

    private static func half(_ tensor: Tensor) -> Tensor {
        var half = Tensor(zeros: tensor.shape, dtype: .f16)
        let bits = tensor.floats().map { Half($0).bitPattern }
        half.withMutableBytes { target in bits.withUnsafeBytes { target.copyBytes(from: $0) } }
        return half
    }

    /// Every way in which a file can be wrong, at once.
    private func spoil(_ tensors: inout [String: Tensor]) {
        tensors["0.bias"] = nil
        tensors["2.bias"] = Tensor(zeros: [3])
        tensors["2.weight"] = Self.half(tensors["2.weight"]!)
        tensors["4.weight"] = Tensor(zeros: [1])
    }

    @Test(arguments: ModelFileTests.names)
    func `W10 W11 strict means the same in every format, and one error lists all`(
        name: String
    ) throws {
        let url = try file(name, spoil)
        let run = try SmallRun(seed: 9)
        let optimizer = try Optimizer(parameters: run.parameters)
        try run.train(optimizer, steps: 1)
        let digest = run.digest(optimizer)

        let error = #expect(throws: TrainingError.self) {
            try run.network.load(from: url, optimizer: optimizer)
        }

        #expect(
            error?.description
                == "\(url.path) does not fit this model: '0.bias' is missing; '4.weight' is no parameter of "
                + "the model; '2.bias' is F32 [3], expected F32 [2]; '2.weight' is F16 [2, 4], "
                + "expected F32 [2, 4]; it has no state for the optimizer")
        #expect(run.digest(optimizer) == digest)
    }

    @Test(arguments: ModelFileTests.names)
    func `not strict, names may differ and are listed`(name: String) throws {
        let url = try file(name) {
            $0["0.bias"] = nil
            $0["4.weight"] = Tensor(zeros: [1])
        }
        let (run, origin) = (try SmallRun(seed: 9), try SmallRun())
        let before = run.numbers

        let payload = try run.network.load(from: url, strict: false)

        #expect(payload.missing == ["0.bias"])
        #expect(payload.unexpected == ["4.weight"])
        #expect(run.numbers["0.bias"] == before["0.bias"])
        #expect(run.numbers["0.weight"] == origin.numbers["0.weight"])
    }

    @Test(arguments: ModelFileTests.names)
    func `not strict, shapes and types must fit all the same`(name: String) throws {
        let url = try file(name, spoil)
        let run = try SmallRun(seed: 9)
        let before = run.numbers

        let error = #expect(throws: TrainingError.self) {
            try run.network.load(from: url, strict: false)
        }

        #expect(
            error?.description
                == "\(url.path) does not fit this model: '2.bias' is F32 [3], expected F32 [2]; '2.weight' is "
                + "F16 [2, 4], expected F32 [2, 4]")
        #expect(run.numbers == before)
    }

    @Test func `half precision is widened when asked for`() throws {
        let url = try file("half.safetensors") { $0 = $0.mapValues(Self.half) }
        let run = try SmallRun(seed: 9)

        #expect(throws: TrainingError.self) { try run.network.load(from: url) }
        try run.network.load(from: url, widensHalfPrecision: true)

        let expected = try SmallRun().numbers.mapValues { $0.map { Half($0).float } }
        #expect(run.numbers == expected)
    }

    @Test func `widening takes no integers and no doubles`() throws {
        let url = try file("wide.safetensors") {
            $0["2.bias"] = Tensor([1.0, 2.0] as [Double], shape: [2])
            $0["0.bias"] = Tensor([1, 2, 3, 4] as [Int32], shape: [4])
        }
        let run = try SmallRun()

        let error = #expect(throws: TrainingError.self) {
            try run.network.load(from: url, widensHalfPrecision: true)
        }

        #expect(
            error?.description
                == "\(url.path) does not fit this model: '0.bias' is I32 [4], expected F32 [4]; "
                + "'2.bias' is F64 [2], expected F32 [2]")
    }

    @Test(arguments: ModelFileTests.names)
    func `W5 a file without a state is refused unless told that it may lack it`(
        name: String
    ) throws {
        let run = try SmallRun()
        try run.network.save(to: directory.file(name))
        let optimizer = try Optimizer(parameters: run.parameters)
        try run.train(optimizer, steps: 2)

        #expect(throws: TrainingError.self) {
            try run.network.load(from: directory.file(name), optimizer: optimizer)
        }
        let payload = try run.network.load(
            from: directory.file(name), optimizer: optimizer, optimizerMayBeAbsent: true)

        #expect(payload.optimizer == nil)
        #expect(optimizer.step == 2)
    }

    @Test func `weights without a sidecar load, but no optimizer does`() throws {
        let run = try SmallRun()
        let optimizer = try Optimizer(parameters: run.parameters)
        let url = try run.network.save(to: directory.file("m.npz"), optimizer: optimizer)
        try FileManager.default.removeItem(at: directory.file("m.npz.mlxmeta.json"))

        #expect(throws: TrainingError.self) {
            try run.network.load(from: url, optimizer: optimizer)
        }
        let payload = try run.network.load(from: url)

        #expect(payload.metadata.isEmpty)
        #expect(payload.remarks == ["there is no m.npz.mlxmeta.json, so no metadata either"])
    }

    @Test(arguments: ModelFileTests.names)
    func `W6 W37 the state of another kind or of other parameters is refused`(
        name: String
    ) throws {
        let run = try SmallRun()
        let adam = try Optimizer(.adam(), parameters: run.parameters)
        try run.network.save(to: directory.file(name), optimizer: adam)
        let before = run.numbers
        let sgd = try Optimizer(.sgd(momentum: 0.9), parameters: run.parameters)

        let error = #expect(throws: TrainingError.self) {
            try run.network.load(from: directory.file(name), optimizer: sgd)
        }

        #expect(
            error?.description
                == "\(directory.path)/\(name) does not fit this model: group 'all' of the "
                + "optimizer is sgd, the state's group 'all' is adam")
        #expect(run.numbers == before)
    }

    @Test(arguments: ModelFileTests.names)
    func `W6 other hyper-parameters are told, and the new ones kept`(name: String) throws {
        let run = try SmallRun()
        let old = try Optimizer(.adamW(weightDecay: 0.1), parameters: run.parameters)
        try run.train(old, steps: 1, learningRate: 0.3)
        try run.network.save(to: directory.file(name), optimizer: old)
        let new = try Optimizer(.adamW(weightDecay: 0.2), parameters: run.parameters)

        let payload = try run.network.load(from: directory.file(name), optimizer: new)

        #expect(
            payload.changes.map(\.description)
                == ["weight_decay of group 'all' is 0.2, in the state 0.1"])
        #expect(new.groups[0].rule == .adamW(weightDecay: 0.2))
    }

    @Test(arguments: ModelFileTests.names, [Float.nan, .infinity, -.infinity])
    func `numbers that are not finite are refused before anything is touched`(
        name: String, bad: Float
    ) throws {
        let run = try SmallRun()
        run.parameters.set("2.bias", to: [0, bad])

        #expect(throws: TrainingError.nonFiniteWeights(tensor: "2.bias", element: 1)) {
            try run.network.save(to: directory.file("new/\(name)"))
        }

        run.parameters.set("2.bias", to: [0, 0])
        let optimizer = try Optimizer(parameters: run.parameters)
        var state = optimizer.state
        state.slots["0.bias"]!["v"] = Tensor([0, 0, bad, 0], shape: [4])
        optimizer.restore(state)
        #expect(throws: TrainingError.nonFiniteWeights(tensor: "v of 0.bias", element: 2)) {
            try run.network.save(to: directory.file("new/\(name)"), optimizer: optimizer)
        }
        #expect(!FileManager.default.fileExists(atPath: directory.file("new").path))
    }

    @Test(arguments: ModelFileTests.names)
    func `metadata that is no JSON is refused before anything is touched`(name: String) throws {
        let run = try SmallRun()
        let deep = (0..<256).reduce(JSONValue.null) { value, _ in [value] }

        for metadata in [["loss": .number(.nan)], ["deep": deep]] as [JSONObject] {
            #expect(throws: FormatError.self) {
                try run.network.save(to: directory.file("new/\(name)"), metadata: metadata)
            }
        }
        #expect(!FileManager.default.fileExists(atPath: directory.file("new").path))
    }

    /// mlx-ruby has scalars and parameters of an optimizer in one hash; APR has not.
    @Test(arguments: ModelFileTests.names)
    func `W20 a parameter with the name of a scalar is refused where both share a hash`(
        name: String
    ) throws {
        let network = try Network(
            Named("step"), seed: 1, parameters: Parameters(context: Context(threads: 1)))
        let optimizer = try Optimizer(parameters: network.parameters)
        let url = directory.file("new/\(name)")

        if name.hasSuffix("apr") {
            try network.save(to: url, optimizer: optimizer)
            try network.load(from: url, optimizer: optimizer)
        } else {
            let error = #expect(throws: FormatError.self) {
                try network.save(to: url, optimizer: optimizer)
            }
            #expect(error?.description.contains("the parameter 'step'") == true)
            #expect(!FileManager.default.fileExists(atPath: directory.file("new").path))
        }
    }

    /// One layer of that name.
    private struct Named: Model {
        let layer: Linear
        init(_ name: String) { layer = Linear(name, 2, 1) }
        var parameters: [ParameterSpecification] { layer.parameters }
        var linearLayers: [Linear] { [layer] }
        func record(_ recorder: inout Recorder) -> Value {
            layer(recorder.graph.features(columns: 2), &recorder)
        }
    }

    @Test func `W18 a Marshal file with an object is refused by its class`() throws {
        // What Ruby 3.1 gives for Marshal.dump({"model" => Object.new}).
        let dump = "\u{4}\u{8}{\u{6}I\"\u{a}model\u{6}:\u{6}ETo:\u{b}Object\u{0}"
        let url = directory.file("evil.bin")
        try Data(dump.utf8).write(to: url)

        let error = #expect(throws: FormatError.self) { try SmallRun().network.load(from: url) }

        #expect(error?.description.contains("Object") == true)
    }

    /// Every key that other members of the files use, in case one was taken out of the metadata.
    @Test(arguments: ModelFileTests.names)
    func `metadata may have any keys`(name: String) throws {
        let run = try SmallRun()
        let keys = [
            "format", "weights_sha256", "cairn", "name", "hidden_size", "optimizer", "step", "",
            "__mlx_array__", "a.b", "\u{e9}",
        ]
        let metadata = JSONObject(keys.map { ($0, .string("own")) })

        try run.network.save(to: directory.file(name), metadata: metadata)

        let loaded = try run.network.load(from: directory.file(name)).metadata
        #expect(try ModelFileTests.text(loaded) == ModelFileTests.text(metadata))
    }

    @Test(arguments: ModelFileTests.names)
    func `W21 a newer schema is refused`(name: String) throws {
        let run = try SmallRun()
        let url = directory.file(name)
        try run.network.save(to: url)
        let text = "schema_version"
        let files = [url, directory.file("\(name).mlxmeta.json")].filter {
            FileManager.default.fileExists(atPath: $0.path)
        }
        let place = try #require(
            try files.first { try Data(contentsOf: $0).range(of: Data(text.utf8)) != nil })
        var data = try Data(contentsOf: place)
        let key = try #require(data.range(of: Data(text.utf8)))
        // 1 in JSON; in Marshal an 'i' and 6.
        let isMarshal = data.starts(with: [4, 8])
        let one = try #require(
            data[key.upperBound...].range(of: Data(isMarshal ? "i\u{6}".utf8 : "1".utf8)))
        data[one.upperBound - 1] += 1
        if name.hasSuffix("apr") { data = try Self.resealed(data) }
        try data.write(to: place)

        let error = #expect(throws: TrainingError.self) { try run.network.load(from: url) }

        #expect(
            error?.description
                == "\(place.path): schema version 2 is newer than 1, the newest that "
                + "this build reads; a newer Cairn made it")
    }

    /// An APR file with the checksum of its bytes as they are.
    private static func resealed(_ data: Data) throws -> Data {
        var crc = CRC32()
        data.dropLast(4).withUnsafeBytes { crc.update($0) }
        return data.dropLast(4) + withUnsafeBytes(of: crc.value.littleEndian) { Data($0) }
    }
}
