// SPDX-License-Identifier: Apache-2.0
/// The instructions of a pickle that make data, and the names of those that do more.

import CairnTensor

/// An instruction that the data-only reader follows.
///
/// Source: `pickletools` of CPython 3.11, protocols 2 to 5.
enum PickleOpcode: UInt8 {
    case proto = 0x80
    case frame = 0x95
    case stop = 0x2E
    case mark = 0x28
    case pop = 0x30
    case none = 0x4E
    case newTrue = 0x88
    case newFalse = 0x89
    case binInt = 0x4A
    case binInt1 = 0x4B
    case binInt2 = 0x4D
    case long1 = 0x8A
    case binFloat = 0x47
    case binUnicode = 0x58
    case shortBinUnicode = 0x8C
    case emptyList = 0x5D
    case append = 0x61
    case appends = 0x65
    case emptyTuple = 0x29
    case tuple = 0x74
    case tuple1 = 0x85
    case tuple2 = 0x86
    case tuple3 = 0x87
    case emptyDictionary = 0x7D
    case setItem = 0x73
    case setItems = 0x75
    case binPut = 0x71
    case longBinPut = 0x72
    case binGet = 0x68
    case longBinGet = 0x6A
    case memoize = 0x94
    case global = 0x63
    case stackGlobal = 0x93
    case reduce = 0x52
    case build = 0x62
    case binPersistentID = 0x51

    /// The name under which `pickletools` knows a byte that is not followed here.
    static func name(refused byte: UInt8) -> String {
        let names: [UInt8: String] = [
            0x42: "BINBYTES", 0x43: "SHORT_BINBYTES", 0x8E: "BINBYTES8", 0x96: "BYTEARRAY8",
            0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER", 0x49: "INT", 0x4C: "LONG",
            0x8B: "LONG4", 0x46: "FLOAT", 0x53: "STRING", 0x54: "BINSTRING",
            0x55: "SHORT_BINSTRING", 0x56: "UNICODE", 0x8D: "BINUNICODE8", 0x6C: "LIST",
            0x64: "DICT", 0x8F: "EMPTY_SET", 0x90: "ADDITEMS", 0x91: "FROZENSET",
            0x31: "POP_MARK", 0x32: "DUP", 0x67: "GET", 0x70: "PUT", 0x50: "PERSID",
            0x69: "INST", 0x6F: "OBJ", 0x81: "NEWOBJ", 0x92: "NEWOBJ_EX", 0x82: "EXT1",
            0x83: "EXT2", 0x84: "EXT4",
        ]
        let hex = "0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        return names[byte].map { "\($0) (\(hex))" } ?? "byte \(hex)"
    }
}

/// What a pickle may name: nothing of it is ever called, each is a word of the format.
enum PickleGlobal: Equatable {
    /// `torch._utils._rebuild_tensor_v2`: a tensor over a storage.
    case tensor
    /// `collections.OrderedDict`: a dictionary.
    case dictionary
    /// `torch.FloatStorage` and its kin: the type of a storage.
    case storage(DType)

    init?(module: String, name: String) {
        switch (module, name) {
        case ("torch._utils", "_rebuild_tensor_v2"): self = .tensor
        case ("collections", "OrderedDict"): self = .dictionary
        case ("torch", _):
            guard let dtype = Self.storages.first(where: { $0.name == name })?.dtype else {
                return nil
            }
            self = .storage(dtype)
        default: return nil
        }
    }

    static let storages: [(dtype: DType, name: String)] = [
        (.f32, "FloatStorage"), (.f64, "DoubleStorage"), (.f16, "HalfStorage"),
        (.bf16, "BFloat16Storage"), (.i64, "LongStorage"), (.i32, "IntStorage"),
        (.i16, "ShortStorage"), (.i8, "CharStorage"), (.u8, "ByteStorage"), (.bool, "BoolStorage"),
        (.c64, "ComplexFloatStorage"),
    ]
}
