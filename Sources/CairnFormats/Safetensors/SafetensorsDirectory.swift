// SPDX-License-Identifier: Apache-2.0
/// The weights of a model directory, in one safetensors file or in several.

import CairnTensor
import Foundation

/// One name space over `model.safetensors`, or over the shards that
/// `model.safetensors.index.json` lists.
///
/// Where both are there the single file counts, as in transformers. `metadata.total_size` of the
/// index is not read: the files themselves say how large they are.
public struct SafetensorsDirectory: Sendable {
    static let singleName = "model.safetensors"
    static let indexName = "model.safetensors.index.json"

    /// The directory.
    public let url: URL

    /// In byte order.
    public let names: [String]

    /// The weight files, in byte order of their names.
    public let files: [URL]

    /// Tensors that a shard holds and the index does not give to that shard.
    public let unlisted: [(file: URL, name: String)]

    private let shards: [SafetensorsFile]
    private let places: [String: Int]

    /// Fails when there is no such file, when a file is damaged, or when a shard lacks a tensor
    /// that the index gives to it.
    public init(contentsOf directory: URL) throws(FormatError) {
        url = directory
        let single = directory.appendingPathComponent(Self.singleName)
        let index = directory.appendingPathComponent(Self.indexName)
        if FileManager.default.fileExists(atPath: single.path) {
            let file = try SafetensorsFile(contentsOf: single)
            shards = [file]
            places = file.names.reduce(into: [:]) { $0[$1] = 0 }
            unlisted = []
        } else if FileManager.default.fileExists(atPath: index.path) {
            let map = try Self.weightMap(index)
            let fileNames = Set(map.values).sorted { $0.utf8Precedes($1) }
            var opened: [SafetensorsFile] = []
            for name in fileNames {
                opened.append(
                    try SafetensorsFile(contentsOf: directory.appendingPathComponent(name)))
            }
            shards = opened
            let ranks = fileNames.enumerated().reduce(into: [:]) { $0[$1.element] = $1.offset }
            places = map.compactMapValues { ranks[$0] }
            try Self.checkPresence(map, places, opened)
            unlisted = Self.unlisted(opened, places)
        } else {
            throw try Self.noWeights(directory)
        }
        files = shards.map(\.url)
        names = places.keys.sorted { $0.utf8Precedes($1) }
    }

    /// What the header says of a tensor; nil when there is none of that name.
    public func layout(of name: String) -> (dtype: DType, shape: Shape)? {
        places[name].flatMap { shards[$0].layout(of: name) }
    }

    /// The tensor of a name, from whichever file holds it; nil when none does.
    public func tensor(named name: String) -> Tensor? {
        places[name].flatMap { shards[$0].tensor(named: name) }
    }

    /// Says that a tensor will not be read for long; see `SafetensorsFile`.
    public func release(tensorNamed name: String) {
        if let place = places[name] { shards[place].release(tensorNamed: name) }
    }

    /// The metadata of each file, in the order of `files`.
    public var metadata: [[String: String]] { shards.map(\.metadata) }

    /// The file that holds the tensor.
    public func file(of name: String) -> URL? { places[name].map { shards[$0].url } }

    // MARK: The index

    static func weightMap(_ index: URL) throws(FormatError) -> [String: String] {
        let document = try JSONValue.parse(contentsOf: index)
        guard let members = document["weight_map"]?.object, !members.isEmpty else {
            throw .entry(
                file: index.path, entry: "weight_map", expected: "an object of names and files",
                found: document["weight_map"].map { $0.object == nil ? $0.kind : "an empty one" }
                    ?? "none")
        }
        var map: [String: String] = [:]
        for (name, value) in members {
            let entry = "weight_map '\(name)'"
            guard let file = value.string, isPlainName(file) else {
                throw .entry(
                    file: index.path, entry: entry, expected: "a file name without folders",
                    found: value.string.map { "'\($0)'" } ?? value.kind)
            }
            guard map.updateValue(file, forKey: name) == nil else {
                throw .entry(
                    file: index.path, entry: entry, expected: "every name once",
                    found: "it again in another Unicode form")
            }
        }
        return map
    }

    /// Whether the name stays in the directory it is looked up in.
    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.utf8.contains(UInt8(ascii: "/"))
            && !name.utf8.contains(0)
    }

    private static func checkPresence(
        _ map: [String: String], _ places: [String: Int], _ shards: [SafetensorsFile]
    ) throws(FormatError) {
        let held = shards.map { Set($0.names) }
        for (name, place) in places.sorted(by: { $0.key.utf8Precedes($1.key) })
        where !held[place].contains(name) {
            throw .entry(
                file: shards[place].url.path, entry: "tensor '\(name)'",
                expected: "it here, by \(indexName)", found: "none")
        }
    }

    private static func unlisted(
        _ shards: [SafetensorsFile], _ places: [String: Int]
    ) -> [(file: URL, name: String)] {
        shards.enumerated().flatMap { place, shard in
            shard.names.filter { places[$0] != place }.map { (file: shard.url, name: $0) }
        }
    }

    // MARK: What else a directory may hold

    private static func noWeights(_ directory: URL) throws(FormatError) -> FormatError {
        let found = try weightFiles(in: directory)
        let advice: String
        if found.contains("adapter_model.safetensors") {
            advice = "this is an adapter; name the directory of its base model"
        } else if found.contains(where: { $0.hasSuffix(".safetensors") }) {
            advice =
                "rename the file that holds the whole model to \(singleName), or add \(indexName)"
        } else if found.contains(where: { $0.hasSuffix(".bin") || $0.hasSuffix(".bin.index.json") })
        {
            advice =
                "PyTorch pickles can run code and are not opened; load the model once in Python "
                + "with transformers and write it with save_pretrained, which gives \(singleName)"
        } else {
            advice = "expected \(singleName) or \(indexName)"
        }
        return .noWeights(directory: directory.path, found: found, advice: advice)
    }

    private static func weightFiles(in directory: URL) throws(FormatError) -> [String] {
        try SystemFiles().names(in: directory.path).sorted { $0.utf8Precedes($1) }
    }
}
