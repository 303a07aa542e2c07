// SPDX-License-Identifier: Apache-2.0
/// What libFuzzer calls: one reader, chosen by CAIRN_FUZZ_TARGET.

import Foundation
import FuzzTargets

private let name = ProcessInfo.processInfo.environment["CAIRN_FUZZ_TARGET"] ?? ""
private let read = FuzzTarget.named(name)?.read ?? KnownFault(rawValue: name)?.read

/// Prints every target with its longest input, where none is chosen.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ argc: UnsafePointer<CInt>, _ argv: UnsafePointer<UnsafePointer<UnsafePointer<CChar>>>
) -> CInt {
    if read == nil {
        for target in FuzzTarget.all { print(target.name, target.lengthLimit) }
        exit(name.isEmpty ? 0 : 2)
    }
    return 0
}

/// Reads one input; an error is an answer, and its sentence can be formed.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do {
        try read?(UnsafeRawBufferPointer(start: start, count: count))
    } catch {
        precondition(!"\(error)".isEmpty, "an error without a sentence")
    }
    return 0
}
