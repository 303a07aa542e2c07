// SPDX-License-Identifier: Apache-2.0
/// One way to call `cairn` wrongly or with a damaged file, and what it must say.

import Cairn
import Foundation
import Testing

/// A row of the table of bad inputs.
struct BadInput: Sendable, CustomTestStringConvertible {
    enum Code: Int32, Sendable {
        case failed = 1
        case wrongUse = 2
    }

    let name: String
    let code: Code
    /// What the sentence must name: the file, the place in it, the expected, the found.
    let says: [String]
    let arguments: @Sendable (Job) -> [String]
    let spoil: @Sendable (Job) throws -> Void

    var testDescription: String { name }

    /// A damaged file: the good job's arguments, exit code 1.
    init(
        _ name: String, says: String...,
        arguments: @escaping @Sendable (Job) -> [String] = {
            $0.finetune()
        },
        spoil: @escaping @Sendable (Job) throws -> Void
    ) {
        self.init(name, says: says, arguments: arguments, spoil: spoil)
    }

    init(
        _ name: String, says: [String], arguments: @escaping @Sendable (Job) -> [String],
        spoil: @escaping @Sendable (Job) throws -> Void
    ) {
        self.name = name
        code = .failed
        self.says = says
        self.arguments = arguments
        self.spoil = spoil
    }

    /// Wrong arguments for good files.
    init(
        _ name: String, _ code: Code, says: String...,
        arguments: @escaping @Sendable (Job) -> [String]
    ) {
        self.name = name
        self.code = code
        self.says = says
        self.arguments = arguments
        spoil = { _ in }
    }
}
