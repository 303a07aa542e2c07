// SPDX-License-Identifier: Apache-2.0
/// What a file of `torch.save` holds: tensors in plain data.

import CairnTensor

/// A value of Python that is data, or a tensor.
///
/// Keys of dictionaries are strings, integers, booleans or None, each there once.
public indirect enum TorchValue: Sendable {
    /// Python's `None`.
    case none
    /// `True` or `False`
    case bool(Bool)
    /// An integer that 64 bits hold.
    case integer(Int64)
    /// A float.
    case number(Double)
    /// A `str`.
    case string(String)
    /// A `list`.
    case list([TorchValue])
    /// A `tuple`.
    case tuple([TorchValue])
    /// In the order of the file.
    case dictionary([(key: TorchValue, value: TorchValue)])
    /// A tensor of torch, or of its storage types.
    case tensor(Tensor)
}

extension TorchValue {
    /// Whether this is `None`.
    public var isNone: Bool { if case .none = self { true } else { false } }

    /// The value of a boolean; nil for another kind, as in the next ones.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The value of an integer.
    public var integer: Int? { if case .integer(let value) = self { Int(value) } else { nil } }

    /// Any number, of Python or in a tensor of one element.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .tensor(let tensor) where tensor.elementCount == 1 && tensor.dtype.isWeight:
            tensor.doubles().first
        default: nil
        }
    }

    /// The text of a string.
    public var string: String? { if case .string(let value) = self { value } else { nil } }

    /// The elements of a list or of a tuple.
    public var elements: [TorchValue]? {
        switch self {
        case .list(let values), .tuple(let values): values
        default: nil
        }
    }

    /// Keys with their values, in order.
    public var dictionary: [(key: TorchValue, value: TorchValue)]? {
        if case .dictionary(let members) = self { members } else { nil }
    }

    /// The tensor.
    public var tensor: Tensor? { if case .tensor(let value) = self { value } else { nil } }

    /// The member of a dictionary under a key that is a string.
    public subscript(key: String) -> TorchValue? {
        dictionary?.first { $0.key.string?.utf8Equals(key) ?? false }?.value
    }

    /// What kind of value this is, with its article, for error messages.
    public var kind: String {
        switch self {
        case .none: "None"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number: "a number"
        case .string: "a string"
        case .list: "a list"
        case .tuple: "a tuple"
        case .dictionary: "a dictionary"
        case .tensor: "a tensor"
        }
    }
}

extension TorchValue {
    /// A dictionary whose keys are strings.
    public static func members(_ members: KeyValuePairs<String, TorchValue>) -> TorchValue {
        .dictionary(members.map { (.string($0.key), $0.value) })
    }
}

extension TorchValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral
{
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .string(value) }
}
