// SPDX-License-Identifier: Apache-2.0
/// What a tokenizer makes of a list of texts, as JSON lines, to be compared with other readers.

import Foundation

package enum TokenizerDump {
    /// One line per text: `{"ids": [...], "offsets": [[0, 5], ...], "decoded": "..."}`; `decoded`
    /// keeps special tokens.
    package static func dump(
        _ texts: [String], with tokenizer: Tokenizer, maxLength: Int? = nil,
        to write: (String) throws -> Void
    ) throws {
        for text in texts {
            let encoding = try tokenizer.encode(text, maxLength: maxLength)
            let ids = encoding.ids.map(String.init).joined(separator: ",")
            let offsets = encoding.offsets.map { "[\($0.lowerBound),\($0.upperBound)]" }
            let decoded = quote(tokenizer.decode(encoding.ids, skipSpecialTokens: false))
            try write(
                "{\"ids\":[\(ids)],\"offsets\":[\(offsets.joined(separator: ","))],"
                    + "\"decoded\":\(decoded)}\n")
        }
    }

    /// A JSON string in ASCII.
    static func quote(_ text: String) -> String {
        var result = "\""
        for unit in text.utf16 {
            switch unit {
            case 0x22, 0x5C: result += "\\" + String(UnicodeScalar(UInt8(unit)))
            case 0x20..<0x7F: result.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
            default:
                let digits = String(unit, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return result + "\""
    }
}
