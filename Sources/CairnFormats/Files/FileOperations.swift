// SPDX-License-Identifier: Apache-2.0
/// The seam under durable writing: every change of the file system that a commit makes.

/// What stands at a path; a symbolic link is an `other`.
package enum FileKind: Sendable { case none, directory, other }

/// The operations that a commit is made of, each one step that a crash can follow.
///
/// Tests put failures and crashes between them; `SystemFiles` is the real thing. Descriptors are
/// those of `createFile`.
package protocol FileOperations: Sendable {
    /// Fails when anything is there.
    func makeDirectory(_ path: String) throws(FormatError)

    /// Opens a new, empty file for writing; fails when anything is there.
    func createFile(_ path: String) throws(FormatError) -> Int32

    /// Writes all of `bytes`; `path` is for the error only, as in the next two.
    func write(
        _ bytes: UnsafeRawBufferPointer, to file: Int32, path: String
    ) throws(FormatError)

    /// Returns when the file's bytes are on the medium.
    func synchronize(_ file: Int32, path: String) throws(FormatError)

    /// Closes the descriptor, whether or not it throws.
    func close(_ file: Int32, path: String) throws(FormatError)

    /// Returns when the directory's entries are on the medium.
    func synchronizeDirectory(_ path: String) throws(FormatError)

    /// Moves, replacing a file at `target`.
    func rename(_ source: String, to target: String) throws(FormatError)

    /// Swaps two existing paths in one step; false, and no change, where the system cannot.
    func exchange(_ a: String, with b: String) throws(FormatError) -> Bool

    /// Removes a file, or a directory and all in it, following no link; nothing there is no error.
    func remove(_ path: String) throws(FormatError)

    func kind(of path: String) throws(FormatError) -> FileKind
}
