// SPDX-License-Identifier: Apache-2.0
/// What every test of an operation needs: a context, guarded device memory, all settings.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

/// An instruction set and a number of threads.
struct Setting: Sendable, CustomTestStringConvertible {
    let isa: ISA
    let threads: Int

    static let scalar = Setting(isa: .scalar, threads: 1)

    /// Every instruction set of this machine with one to five threads.
    static let all = ISA.supported.flatMap { isa in (1...5).map { Setting(isa: isa, threads: $0) } }

    var testDescription: String { "\(isa.rawValue) x \(threads)" }
}

/// A context and the memory of one test.
///
/// Every array starts three elements into its buffer, so no address is aligned to a vector, and
/// lies between guards that `brokenGuard` looks at.
final class Lab {
    let context: Context
    private var arrays: [(buffer: Buffer, elements: Int)] = []

    private static let before = 3
    private static let after = 17
    private static let sentinel: UInt32 = 0x7FC0_BEEF

    init(_ setting: Setting = .scalar) throws {
        context = try Context(isa: setting.isa, threads: setting.threads)
    }

    /// A guarded array of `values`.
    func floats(_ values: [Float]) throws -> Floats {
        let array = try guarded(values.count).floats(offset: Self.before, count: values.count)
        context.write(values, to: array)
        return array
    }

    /// An array for a result, full of NaN until something is written.
    func result(_ count: Int) throws -> Floats {
        try guarded(count).floats(offset: Self.before, count: count)
    }

    func words(_ values: [UInt32]) throws -> Words {
        let array = try guarded(values.count).words(offset: Self.before, count: values.count)
        context.write(values, to: array)
        return array
    }

    func integers(_ values: [Int32]) throws -> Integers {
        let array = try guarded(values.count).integers(offset: Self.before, count: values.count)
        context.write(values, to: array)
        return array
    }

    /// A gradient with both parts at zero.
    func gradient(_ count: Int) throws -> Gradient {
        Gradient(
            sum: try floats([Float](repeating: 0, count: count)),
            open: try floats([Float](repeating: 0, count: count)))
    }

    /// `values` stored as `dtype`, borrowed from a tensor.
    func weight(
        _ values: [Float], _ dtype: DType = .f32, rows: Int, columns: Int
    ) throws -> Weight {
        let buffer = Buffer(
            borrowing: stored(values, dtype, Shape([rows, columns])), context: context)
        arrays.append((buffer, -1))
        return buffer.weight
    }

    func read(_ array: Floats) -> [Float] { context.read(array) }

    /// The first element of a result that no operation has written, or nil.
    func unwritten(_ array: Floats) -> Int? {
        read(array).firstIndex { $0.bitPattern == Self.sentinel }
    }

    /// What was written outside of an array, or nil.
    func brokenGuard() -> String? {
        for (buffer, elements) in arrays where elements >= 0 {
            let words = context.read(
                buffer.words(count: Self.before + elements + Self.after))
            for (index, word) in words.enumerated() where word != Self.sentinel {
                let place = index - Self.before
                if place < 0 || place >= elements {
                    return "element \(place) of 0..<\(elements) was written"
                }
            }
        }
        return nil
    }

    private func guarded(_ elements: Int) throws -> Buffer {
        let count = Self.before + elements + Self.after
        let buffer = try Buffer(byteCount: 4 * count, context: context)
        context.write(
            [UInt32](repeating: Self.sentinel, count: count), to: buffer.words(count: count))
        arrays.append((buffer, elements))
        return buffer
    }
}

/// A tensor of `values`, rounded to `dtype`.
func stored(_ values: [Float], _ dtype: DType, _ shape: Shape) -> Tensor {
    var tensor = Tensor(zeros: shape, dtype: dtype)
    tensor.withMutableBytes { bytes in
        for (index, value) in values.enumerated() {
            switch dtype {
            case .f32: bytes.storeBytes(of: value, toByteOffset: 4 * index, as: Float.self)
            case .bf16:
                bytes.storeBytes(
                    of: BFloat16(value).bitPattern, toByteOffset: 2 * index, as: UInt16.self)
            case .f16:
                bytes.storeBytes(
                    of: Half(value).bitPattern, toByteOffset: 2 * index, as: UInt16.self)
            default: preconditionFailure("\(dtype.rawValue) is not a weight's type")
            }
        }
    }
    return tensor
}

/// The element types that a weight comes in.
let weightTypes: [DType] = [.f32, .bf16, .f16]

/// Lengths on both sides of every vector width, and past every tile of an elementwise loop.
let lengths = [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 65, 1023, 40_001]

/// A stream of its own for one operand.
func stream(_ name: String, _ seed: Int = 7) -> RandomStream {
    RandomStream(seed: UInt64(seed), name: name)
}

/// Standard normal numbers, drawn once for all tests.
private let normals: [Float] = {
    var generator = stream("normals")
    return [Float].random(1 << 17, using: &generator)
}()

/// The longest array that `random` gives.
private let longest = 100_000

/// `count` standard normal numbers that depend on `name` only: a stretch of `normals`.
func random(_ count: Int, _ name: String) -> [Float] {
    precondition(count <= longest, "random gives at most \(longest) numbers, got \(count)")
    let start = Int(RandomStream.hash(name) % UInt64(normals.count - longest))
    return Array(normals[start..<start + count])
}

/// Runs an operation under `setting` and under one scalar thread, and expects the same bits.
func expectScalarBits(
    _ setting: Setting, _ label: String, sourceLocation: SourceLocation = #_sourceLocation,
    _ operation: (Lab) throws -> [Floats]
) throws {
    let (lab, scalar) = (try Lab(setting), try Lab(.scalar))
    let results = try operation(lab)
    let actual = results.map(lab.read)
    let expected = try operation(scalar).map(scalar.read)
    for (index, pair) in zip(actual, expected).enumerated() {
        let mismatch = bitMismatch(pair.0, pair.1).map { "\(label), result \(index): \($0)" }
        #expect(mismatch == nil, sourceLocation: sourceLocation)
    }
    let gaps = results.compactMap(lab.unwritten).map { "\(label): [\($0)] was not written" }
    #expect(gaps == [], sourceLocation: sourceLocation)
    let overrun = (lab.brokenGuard() ?? scalar.brokenGuard()).map { "\(label): \($0)" }
    #expect(overrun == nil, sourceLocation: sourceLocation)
}
