// SPDX-License-Identifier: Apache-2.0
/// The inputs of the fuzzer, one by one: those it starts from and those that once broke a reader.

import Foundation
import FuzzTargets
import Testing

@Suite struct ReplayTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/fuzz")

    static func inputs(of target: String) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(
            at: root.appendingPathComponent(target), includingPropertiesForKeys: nil
        ).sorted { $0.path < $1.path }
    }

    /// `accept-...` is read, `refuse-...` is not, and any other name may be either, so long as the
    /// reader answers.
    @Test(arguments: FuzzTarget.all.map(\.name))
    func `a reader answers every input, as its name says`(target: String) throws {
        let reader = try #require(FuzzTarget.named(target))
        let inputs = try Self.inputs(of: target)
        for url in inputs {
            let name = url.lastPathComponent
            let outcome = Result {
                try Data(contentsOf: url).withUnsafeBytes { try reader.read($0) }
            }
            switch outcome {
            case .success: #expect(!name.hasPrefix("refuse-"), "\(name) was read")
            case .failure(let error): #expect(!name.hasPrefix("accept-"), "\(name): \(error)")
            }
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name))
    func `a target starts from inputs of both kinds, none of them too long`(target: String) throws {
        let reader = try #require(FuzzTarget.named(target))
        let inputs = try Self.inputs(of: target)

        #expect(inputs.contains { $0.lastPathComponent.hasPrefix("accept-") })
        #expect(inputs.contains { $0.lastPathComponent.hasPrefix("refuse-") })
        for url in inputs {
            #expect(try Data(contentsOf: url).count <= reader.lengthLimit, "\(url.path)")
        }
    }

    @Test func `every folder of inputs belongs to a target`() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.root.path)

        #expect(Set(folders) == Set(FuzzTarget.all.map(\.name)))
    }
}
