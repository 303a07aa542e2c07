// SPDX-License-Identifier: Apache-2.0
/// git's names of files.

import CairnHub
import Foundation
import Testing

@Suite struct SHA1Tests {
    /// `git hash-object` of that many x, on both sides of where blocks and padding end.
    static let names: [(Int, String)] = [
        (0, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (40, "4c6f34da381f4c0b2b763275ec96af3b8818cb43"),
        (55, "e329c5109ce10a7367561757d2f5a053c528f11e"),
        (56, "355e203863c368f0404d7fc7ae4761122c117dd2"),
        (57, "f32768e30e0507780e5b9edc8afa9d3f1009926c"),
        (64, "2036367ceafc6ad317a509db8f6b9c2773f731e0"),
        (119, "476be27639daf140e142c5f18280c33563ade72b"),
        (120, "cb470da43c08b0274449cea06ef71c6e77359c30"),
        (1000, "14c7dfdd4258dec5c0e9d2e919bd249bd674be1f"),
        (60000, "e3b60a76b2801b1a24958bbc50342e64f5b6869e"),
    ]

    @Test(arguments: names)
    func `git's names of blobs come out`(count: Int, name: String) {
        #expect(SHA1.blobID(of: Data(repeating: UInt8(ascii: "x"), count: count)) == name)
    }
}
