// SPDX-License-Identifier: Apache-2.0
/// One view of a file of named tensors, whatever its format.

import CairnTensor
import Foundation

/// The tensors and the metadata of a file in any of the formats of `TensorFormat`, or of a
/// directory whose weights are in several safetensors files.
///
/// Tensors go from format to format with equal bits or not at all: a type that a format lacks is
/// an error. (Marshal alone writes numbers as text: there every NaN becomes the same one.)
/// Metadata is an object, and each format carries of it what it can:
///
/// | format | where it stands | what is lost |
/// |---|---|---|
/// | safetensors | `__metadata__`: strings as they are, other values as JSON text under their keys, which `cairn.json_keys` lists; `format` is `pt` unless given, as transformers asks | nothing |
/// | npz | nowhere: numpy has no place for it | all |
/// | marshal | `metadata` of mlx-ruby's payload | nothing; of a file read, the optimizer's state |
/// | apr | the JSON object: known keys and custom ones; `model_type`, `total_size` and `param_count` are added, and left out on reading where they say nothing new | a value under a key that the format keeps for another kind |
///
/// What is read is JSON, and so is what is written but for Marshal: there a number that is not
/// finite becomes null. Whatever is lost or changed, `remarks` and `write` say.
public struct TensorFile: Sendable {
    /// What a file says of a tensor before anyone asks for its values.
    public struct Entry: Sendable, Equatable {
        /// The tensor's name.
        public let name: String
        /// The format's word for its element type.
        public let type: String
        /// Its shape, row-major.
        public let shape: Shape
        /// Of the values as they are stored, or unpacked where the file is compressed.
        public let byteCount: Int
    }

    private enum Content: Sendable {
        case safetensors(SafetensorsFile)
        case shards(SafetensorsDirectory)
        case npz(NPZFile)
        case marshal(MLXRubyCheckpoint)
        case apr(APRFile)
    }

    /// The file.
    public let url: URL
    /// How it is written.
    public let format: TensorFormat

    /// In byte order of their names.
    public let entries: [Entry]

    /// Always an object.
    public let metadata: JSONValue

    /// What reading left out or changed, a sentence each.
    public let remarks: [String]

    private let content: Content

    /// Opens a file, or a directory of safetensors files.
    ///
    /// The content says in which format a file is, and its name may not speak against it. Where a
    /// format is given, the file must be in that one, whatever its name.
    ///
    /// - Throws: when the content is in no format or in another one, and on whatever the format's
    ///   own reader refuses.
    public init(contentsOf url: URL, format expected: TensorFormat? = nil) throws(FormatError) {
        self.url = url
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory),
            isDirectory.boolValue
        {
            let directory = try SafetensorsDirectory(contentsOf: url)
            format = .safetensors
            entries = Self.entries(directory.names, directory.layout)
            (metadata, remarks) = try SafetensorsMetadata.merged(
                directory.metadata, file: url.path)
            content = .shards(directory)
            return
        }
        format = try TensorFormat(of: url, expected: expected)
        switch format {
        case .safetensors:
            let file = try SafetensorsFile(contentsOf: url)
            entries = Self.entries(file.names, file.layout)
            metadata = try SafetensorsMetadata.decoded(file.metadata, file: url.path)
            remarks = []
            content = .safetensors(file)
        case .npz:
            let file = try NPZFile(contentsOf: url)
            entries = Self.entries(file.names, file.layout)
            (metadata, remarks) = ([:], [])
            content = .npz(file)
        case .marshal:
            let file = try MLXRubyCheckpoint(marshal: url)
            let names = file.tensors.keys.sorted { $0.utf8Precedes($1) }
            entries = Self.entries(names) { name in
                file.tensors[name].map { ($0.dtype, $0.shape) }
            }
            let (finite, places) = JSONValue.object(file.metadata).withoutNonFinite()
            metadata = finite
            remarks =
                places.map(Self.nonFiniteRemark)
                + (file.optimizer == nil ? [] : ["the optimizer's state is left out"])
            content = .marshal(file)
        case .apr:
            let file = try APRFile(contentsOf: url)
            entries = file.entries.map {
                Entry(
                    name: $0.name, type: $0.type.name, shape: $0.shape, byteCount: $0.range.count)
            }
            metadata = .object(file.statedMetadata)
            remarks = file.nonFinite.map(Self.nonFiniteRemark)
            content = .apr(file)
        }
    }

    /// The names of all tensors, in the order of the file.
    public var names: [String] { entries.map(\.name) }

    /// The tensor of that name; nil when there is none.
    ///
    /// - Throws: when its values are in a form that is not read, such as a quantized one, and when
    ///   they turn out damaged.
    public func tensor(named name: String) throws(FormatError) -> Tensor? {
        switch content {
        case .safetensors(let file): file.tensor(named: name)
        case .shards(let directory): directory.tensor(named: name)
        case .npz(let file): try file.tensor(named: name)
        case .marshal(let file): file.tensors[name]
        case .apr(let file): try file.tensor(named: name)
        }
    }

    /// Every tensor by its name, but for entries whose type no tensor has.
    public func tensors() throws(FormatError) -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        for name in names { tensors[name] = try tensor(named: name) }
        return tensors
    }

    /// A look at the values of a tensor: the SHA-256 of its bytes, and figures where its type has
    /// any. Of a quantized tensor the bytes are those that are stored.
    public func summary(
        of entry: Entry
    ) throws(FormatError) -> (sha256: String, statistics: TensorStatistics?) {
        if case .apr(let file) = content, let stored = file.entry(named: entry.name),
            stored.type.dtype == nil
        {
            return (file.withStoredBytes(of: stored, SHA256.hex), nil)
        }
        guard let tensor = try tensor(named: entry.name) else {
            preconditionFailure("\(url.path) has no tensor '\(entry.name)'")
        }
        return (tensor.withBytes(SHA256.hex), TensorStatistics(tensor))
    }

    private static func nonFiniteRemark(_ place: String) -> String {
        "metadata '\(place)' is not finite and is read as null"
    }

    private static func entries(
        _ names: [String], _ layout: (String) -> (dtype: DType, shape: Shape)?
    ) -> [Entry] {
        names.compactMap { name in
            layout(name).map { dtype, shape in
                // Readers check that the elements fill whole bytes.
                let byteCount = dtype.byteCount(elements: shape.elementCount)!
                return Entry(
                    name: name, type: dtype.rawValue, shape: shape, byteCount: byteCount)
            }
        }
    }
}

// MARK: Writing

extension TensorFile {
    /// Streams a file in `format` into `sink`, and says what it could not carry, a sentence each.
    ///
    /// - Precondition: `metadata` is an object.
    /// - Throws: when the format cannot hold a tensor, by its name, its type or its shape.
    public static func write(
        _ tensors: [String: Tensor], metadata: JSONValue = [:], format: TensorFormat,
        to sink: inout some ByteSink
    ) throws(FormatError) -> [String] {
        guard let members = metadata.object else {
            preconditionFailure("metadata is an object, got \(metadata.kind)")
        }
        switch format {
        case .safetensors:
            let (finite, remarks) = finite(members)
            try SafetensorsWriter.write(
                tensors, metadata: try SafetensorsMetadata.encoded(finite), to: &sink)
            return remarks
        case .npz:
            try NPZWriter.write(tensors, to: &sink)
            return members.map { "metadata '\($0.key)' is left out: npz has no place for it" }
        case .marshal:
            let checkpoint = MLXRubyCheckpoint(tensors: tensors, metadata: members)
            try checkpoint.writeMarshal(to: &sink)
            return nanRemarks(tensors)
        case .apr:
            let (finite, remarks) = finite(members)
            let (carried, left) = APRMetadata.carried(finite)
            try APRWriter.write(tensors, metadata: carried, to: &sink)
            return remarks + left
        }
    }

    private static func finite(_ members: JSONObject) -> (JSONObject, remarks: [String]) {
        let (value, places) = JSONValue.object(members).withoutNonFinite()
        return (
            value.object ?? [:],
            places.map { "metadata '\($0)' is not finite and is written as null" }
        )
    }

    private static func nanRemarks(_ tensors: [String: Tensor]) -> [String] {
        tensors.sorted { $0.key.utf8Precedes($1.key) }.compactMap { name, tensor in
            guard let count = TensorStatistics(tensor)?.nanCount, count > 0 else { return nil }
            return "tensor '\(name)': marshal has one NaN, and \(count) of any kind become that"
        }
    }
}
