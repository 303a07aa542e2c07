// SPDX-License-Identifier: Apache-2.0
/// The seam under durable writing: every change of the file system that this project makes.

import Foundation

/// What stands at a path; a link is not followed, and what is none of these is an `other`.
package enum FileKind: Sendable { case none, file, directory, link, other }

/// The operations that durable writing is made of, each one step that a crash can follow.
///
/// Tests put failures and crashes between them; `SystemFiles` is the real thing. Descriptors are
/// those of `createFile` and `openForAppending`. An operation that a signal interrupts is taken
/// up again by `SystemFiles`, but for `write`, whose callers go on with the rest anyway.
package protocol FileOperations: Sendable {
    /// Fails when anything is there.
    func makeDirectory(_ path: String) throws(FormatError)

    /// Opens a new, empty file for writing; fails when anything is there.
    func createFile(_ path: String) throws(FormatError) -> Int32

    /// Opens a file whose writes all go to its end, making it where there is none.
    func openForAppending(_ path: String) throws(FormatError) -> Int32

    /// Writes a first part of `bytes`, which are not none; its length, 0 after an interruption.
    ///
    /// `path` is for the error only, as in the next three.
    func write(
        _ bytes: UnsafeRawBufferPointer, to file: Int32, path: String
    ) throws(FormatError) -> Int

    /// Cuts the file off after its first `count` bytes.
    func truncate(_ file: Int32, to count: Int, path: String) throws(FormatError)

    /// Asks for room for the first `count` bytes of a new file, which then has that length; nothing
    /// happens where the file system cannot.
    func reserve(_ count: Int, in file: Int32, path: String) throws(FormatError)

    /// Returns when the file's bytes and its length are on the medium.
    func synchronize(_ file: Int32, path: String) throws(FormatError)

    /// Lets writes go to the medium without a copy in the system's memory, or no longer; false where
    /// that cannot be. Such writes are of whole blocks, from memory on the bounds of blocks.
    func bypassMemory(_ file: Int32, _ bypasses: Bool) -> Bool

    /// Closes the descriptor, whether or not it throws.
    func close(_ file: Int32, path: String) throws(FormatError)

    /// Returns when the directory's entries are on the medium.
    func synchronizeDirectory(_ path: String) throws(FormatError)

    /// Makes a symbolic link that holds `destination`; fails when anything is there.
    func makeLink(_ path: String, to destination: String) throws(FormatError)

    /// Moves, replacing a file or a link at `target`.
    func rename(_ source: String, to target: String) throws(FormatError)

    /// Swaps two existing paths in one step; false, and no change, where the system cannot.
    func exchange(_ a: String, with b: String) throws(FormatError) -> Bool

    /// Removes a file or a link; nothing there is no error.
    func removeFile(_ path: String) throws(FormatError)

    /// Removes an empty directory.
    func removeDirectory(_ path: String) throws(FormatError)

    func kind(of path: String) throws(FormatError) -> FileKind

    /// The entries of a directory, in no order.
    func names(in path: String) throws(FormatError) -> [String]
}

extension FileOperations {
    /// Writes all of `bytes`.
    package func writeAll(
        _ bytes: UnsafeRawBufferPointer, to file: Int32, path: String
    ) throws(FormatError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try write(UnsafeRawBufferPointer(rebasing: rest), to: file, path: path)
            rest = rest.dropFirst(count)
        }
    }

    /// Removes a file, or a directory and all in it, following no link; nothing there is no error.
    package func remove(_ path: String) throws(FormatError) {
        guard try kind(of: path) == .directory else { return try removeFile(path) }
        for name in try names(in: path).sorted() { try remove(path + "/" + name) }
        try removeDirectory(path)
    }
}
