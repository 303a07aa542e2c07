// SPDX-License-Identifier: Apache-2.0
/// SHA-256 against the vectors of FIPS 180-4, and its independence from how bytes arrive.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct SHA256Tests {
    static let vectors = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
        ),
    ]

    @Test(arguments: vectors)
    func `the published vectors come out`(message: String, digest: String) {
        #expect(SHA256.hex(of: Data(message.utf8)) == digest)
    }

    @Test func `a million times the letter a comes out`() {
        var hash = SHA256()
        let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
        for _ in 0..<1000 { hash.update(piece) }

        #expect(hash.hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func `pieces of any size give the digest of the whole`() {
        let message = (0..<300).map { UInt8($0 & 0xFF) }
        for count in [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 300] {
            let whole = SHA256.hex(of: Data(message.prefix(count)))
            for size in [1, 3, 63, 64, 65, 129] {
                var hash = SHA256()
                for start in stride(from: 0, to: count, by: size) {
                    hash.update(Array(message[start..<min(start + size, count)]))
                }
                #expect(hash.hex == whole, "\(count) bytes in pieces of \(size)")
            }
        }
    }

    @Test func `two strings at once give what each gives alone, whatever their lengths`() {
        let message = (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        for (first, second) in [(0, 0), (0, 130), (1, 64), (63, 65), (200, 64), (300, 333)] {
            for head in [0, 1, 63, 64, 100] {
                var (one, other) = (SHA256(), SHA256())
                one.update(Array(message[..<head]))
                other.update(Array(message[..<(head / 2)]))
                message.withUnsafeBytes { bytes in
                    one.update(
                        UnsafeRawBufferPointer(rebasing: bytes[head..<(head + first)]),
                        beside: &other,
                        UnsafeRawBufferPointer(rebasing: bytes[(head / 2)..<(head / 2 + second)]))
                }
                let lengths = "\(first) and \(second) bytes after \(head)"
                #expect(one.hex == SHA256.hex(of: Data(message[..<(head + first)])), "\(lengths)")
                #expect(
                    other.hex == SHA256.hex(of: Data(message[..<(head / 2 + second)])),
                    "\(lengths)")
            }
        }
    }

    @Test(arguments: [0, 10, 500, 5000])
    func `a side digest is that of its parts, however far the files took it`(
        fileBytes: Int
    ) throws {
        try withScratchDirectory { directory in
            let tensor = Tensor((0..<300).map { Float($0) }, shape: [300])
            let side = SideDigest([.bytes([1, 2, 3]), .tensor(tensor), .bytes([]), .bytes([9])])
            let content = Data((0..<fileBytes).map { UInt8(truncatingIfNeeded: $0) })
            let commit = try DirectoryCommit(target: directory.appendingPathComponent("d"))
            try commit.add(name: "f", beside: side) { sink in try sink.write(content) }
            try commit.add(name: "g", beside: side) { sink in try sink.write(content) }
            let files = try commit.commit()

            let whole = [1, 2, 3] + tensor.withBytes { Array($0) } + [9]
            #expect(side.hex == SHA256.hex(of: whole))
            #expect(files.map(\.sha256) == [SHA256.hex(of: content), SHA256.hex(of: content)])
        }
    }

    @Test func `reading the digest does not end the stream`() {
        var hash = SHA256()
        hash.update(Array("ab".utf8))
        _ = hash.digest
        hash.update(Array("c".utf8))

        #expect(hash.hex == Self.vectors[1].1)
    }

    @Test func `a file has the digest of its bytes, an empty one that of nothing`() throws {
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("f")
            try Data("abc".utf8).write(to: url)
            #expect(try SHA256.hex(ofFile: url) == Self.vectors[1].1)
            try Data().write(to: url)
            #expect(try SHA256.hex(ofFile: url) == Self.vectors[0].1)
        }
    }
}
