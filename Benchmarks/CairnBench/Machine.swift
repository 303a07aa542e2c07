// SPDX-License-Identifier: Apache-2.0
/// What the figures were measured on: processor, build, and the roof of its cores.

import CRoof
import Cairn
import Foundation

#if canImport(Darwin)
    import Darwin
#endif

/// Facts about this machine and this build.
enum Machine {
    /// The processor's name as the system gives it.
    static var processor: String {
        #if canImport(Darwin)
            var size = 0
            sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0)
            var name = [UInt8](repeating: 0, count: size)
            sysctlbyname("machdep.cpu.brand_string", &name, &size, nil, 0)
            return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        #else
            let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
            let name = lines.split(separator: "\n").first { $0.hasPrefix("model name") }
            let words = name?.split(separator: ":", maxSplits: 1).last
            return words.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
        #endif
    }

    static var compiler: String {
        #if compiler(>=6.4)
            "Swift 6.4 or newer"
        #elseif compiler(>=6.3)
            "Swift 6.3"
        #else
            "Swift 6.2"
        #endif
    }

    /// The commit that the sources beside this file are at; nil outside of a repository.
    static var commit: String? {
        let git = Process()
        git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
        git.arguments = ["git", "-C", folder, "describe", "--always", "--dirty"]
        let output = Pipe()
        git.standardOutput = output
        git.standardError = FileHandle.nullDevice
        guard (try? git.run()) != nil else { return nil }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        git.waitUntilExit()
        guard git.terminationStatus == 0 else { return nil }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
}

/// GFLOP/s of multiply-adds in registers, on as many cores at once as the benchmark uses.
struct Roof {
    let fp32: Double
    /// Where there is no instruction for bf16 pairs, they are multiplied in fp32.
    let bf16: Double
    /// GB/s of copying arrays of the size of activations, read and written together.
    let memory: Double

    init(threads: Int) {
        fp32 = Self.total(threads, cairn_roof_fp32)
        let pairs = Self.total(threads, cairn_roof_bf16)
        bf16 = pairs > 0 ? pairs : fp32
        memory = Self.total(threads, cairn_roof_memory)
    }

    func of(_ precision: Precision) -> Double { precision == .bf16 ? bf16 : fp32 }

    private static func total(
        _ threads: Int, _ measure: @escaping @Sendable () -> Double
    ) -> Double {
        let sum = Sum()
        let workers = (0..<threads).map { _ in Thread { sum.add(measure()) } }
        for worker in workers { worker.start() }
        return sum.wait(for: threads)
    }

    /// Rates of several threads, added up.
    private final class Sum: @unchecked Sendable {
        // Unchecked: both numbers are behind the condition.
        private let condition = NSCondition()
        private var rate = 0.0
        private var count = 0

        func add(_ value: Double) {
            condition.lock()
            rate += value
            count += 1
            condition.broadcast()
            condition.unlock()
        }

        func wait(for expected: Int) -> Double {
            condition.lock()
            defer { condition.unlock() }
            while count < expected { condition.wait() }
            return rate
        }
    }
}
