// SPDX-License-Identifier: Apache-2.0
/// Contexts, buffers and partitions: what they hold and what they refuse.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

@Suite struct ContextTests {
    @Test func `scalar kernels run everywhere and the best set is a supported one`() {
        #expect(ISA.supported.contains(.scalar))
        #expect(ISA.supported.contains(ISA.best))
        #expect(ISA.best == ISA.supported.last)
        #expect(Context.defaultThreads >= 1)
    }

    @Test(arguments: ISA.allCases)
    func `a context is made on a supported instruction set only`(isa: ISA) throws {
        if ISA.supported.contains(isa) {
            let context = try Context(isa: isa, threads: 3)
            #expect(context.isa == isa)
            #expect(context.threads == 3)
            #expect(context.device == .cpu)
        } else {
            #expect(throws: KernelError.unsupportedISA(isa, supported: ISA.supported)) {
                try Context(isa: isa, threads: 1)
            }
        }
    }

    @Test(arguments: [Int.min, -1, 0, 1025, .max])
    func `a number of threads outside of 1 to 1024 is refused`(threads: Int) {
        #expect(throws: KernelError.invalidThreads(threads)) { try Context(threads: threads) }
    }

    @Test func `every error is a sentence with what was found`() {
        let sentences: [(KernelError, String)] = [
            (
                .unsupportedISA(.neon, supported: [.scalar, .avx2]),
                "this machine does not run the 'neon' kernels, only 'scalar', 'avx2'"
            ),
            (.invalidThreads(0), "an engine takes 1 to 1024 threads, got 0"),
            (.threadsRefused(900), "the system did not start 900 threads; ask for fewer"),
            (
                .outOfMemory(operation: "Buffer", bytes: 8),
                "Buffer: the system has no 8 bytes of memory left"
            ),
            (
                .outOfMemory(operation: "matmul", bytes: nil),
                "matmul: the system has no memory left for scratch space"
            ),
            (
                .invalidOperand(operation: "crossEntropy"),
                "crossEntropy: an id or a target in the data is out of its range"
            ),
        ]

        for (error, sentence) in sentences { #expect(error.description == sentence) }
    }

    @Test func `calls from several threads take turns`() async throws {
        let context = try Context(threads: 2)
        let sums = try await withThrowingTaskGroup(of: Double.self) { group in
            for value in 1...8 {
                group.addTask {
                    let buffer = try Buffer(byteCount: 40_000, context: context)
                    let x = buffer.floats(count: 10_000)
                    context.write([Float](repeating: Float(value), count: 10_000), to: x)
                    return try context.sumOfSquares(x)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }

        #expect(sums.sorted() == (1...8).map { Double($0 * $0 * 10_000) })
    }
}

@Suite struct BufferTests {
    @Test func `a buffer keeps what is copied in, element by element`() throws {
        let context = try Context(threads: 1)
        let buffer = try Buffer(byteCount: 40, context: context)
        buffer.zero()

        [Int32(-5), 6].withUnsafeBytes { buffer.copyIn(from: $0, at: 12) }
        var bytes = [UInt8](repeating: 9, count: 8)
        bytes.withUnsafeMutableBytes { buffer.copyOut(to: $0, at: 12) }

        #expect(bytes == [0xFB, 0xFF, 0xFF, 0xFF, 6, 0, 0, 0])
        #expect(context.read(buffer.integers(count: 10)) == [0, 0, 0, -5, 6, 0, 0, 0, 0, 0])
        #expect(context.read(buffer.words(offset: 4, count: 2)) == [6, 0])
        #expect(Int(bitPattern: buffer.floats(count: 1).base) % 64 == 0)
    }

    @Test func `slices are parts of the same memory`() throws {
        let context = try Context(threads: 1)
        let array = try Buffer(byteCount: 24, context: context)
        let floats = array.floats(count: 6)
        context.write([1, 2, 3, 4, 5, 6], to: floats)

        context.zero(floats.slice(from: 2, count: 2))

        #expect(context.read(floats) == [1, 2, 0, 0, 5, 6])
        #expect(context.read(floats[3..<6]) == [0, 5, 6])
        #expect(context.read(floats.slice(from: 6, count: 0)) == [])
    }

    @Test(arguments: weightTypes)
    func `a borrowed tensor is not copied and outlives its variable`(dtype: DType) throws {
        let context = try Context(threads: 1)
        var tensor: Tensor? = stored([1, 2, 3, 4, 5, 6], dtype, [2, 3])
        let address = tensor.map { UnsafeRawPointer($0.backing.bytes.baseAddress) }
        let buffer = Buffer(borrowing: try #require(tensor), context: context)
        tensor = nil

        let weight = buffer.weight
        let y = try Buffer(byteCount: 24, context: context)
        try context.widen(weight, into: y.floats(count: 6))

        #expect(address == weight.base)
        #expect((weight.rows, weight.columns, weight.dtype) == (2, 3, dtype))
        #expect(context.read(y.floats(count: 6)) == [1, 2, 3, 4, 5, 6])
    }

    @Test func `a tensor is a matrix of its first dimension by the others`() throws {
        let context = try Context(threads: 1)
        for (shape, rows, columns) in [
            (Shape([]), 1, 1), ([5], 1, 5), ([2, 3], 2, 3), ([2, 3, 4], 2, 12), ([0, 3], 0, 3),
        ] {
            let buffer = Buffer(borrowing: Tensor(zeros: shape), context: context)
            #expect((buffer.weight.rows, buffer.weight.columns) == (rows, columns))
        }
    }

    @Test func `memory that no machine has is refused`() throws {
        let context = try Context(threads: 1)

        #expect(throws: KernelError.outOfMemory(operation: "Buffer", bytes: 1 << 62)) {
            try Buffer(byteCount: 1 << 62, context: context)
        }
    }
}

@Suite struct PartitionTests {
    @Test func `a partition counts its rows, sequences and groups`() {
        let partition = Partition(offsets: [0, 3, 3, 8], groups: [0, 2, 3], suspends: true)

        #expect(partition.rows == 8)
        #expect(partition.sequenceCount == 3)
        #expect(partition.groupCount == 2)
        #expect(!partition.resumes && partition.suspends)
    }

    #if os(Linux) || os(macOS)
        @Test func `offsets that descend stop the program`() async {
            await #expect(processExitsWith: .failure) {
                _ = Partition(offsets: [0, 3, 2], groups: [0, 2])
            }
        }

        @Test func `an operand of the wrong size stops the program`() async {
            await #expect(processExitsWith: .failure) {
                let context = try Context(threads: 1)
                let array = try Buffer(byteCount: 16, context: context).floats(count: 4)
                try context.add(array, array.slice(from: 0, count: 3), into: array)
            }
        }

        @Test func `a borrowed buffer is never written`() async {
            await #expect(processExitsWith: .failure) {
                let context = try Context(threads: 1)
                let buffer = Buffer(borrowing: Tensor(zeros: [1]), context: context)
                buffer.zero()
            }
        }
    #endif
}
