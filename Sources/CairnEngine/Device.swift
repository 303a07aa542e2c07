// SPDX-License-Identifier: Apache-2.0
/// What an engine runs on and how it multiplies: device, instruction set, precision.

internal import CCairn

/// Where the memory is and where the kernels run.
public enum Device: Sendable, Hashable, CustomStringConvertible {
    /// The machine's processors.
    case cpu
    /// A GPU by its number, in builds with `CAIRN_CUDA=1`.
    case cuda(Int)
    /// The same without cuBLASLt, which chooses how it adds by the number of rows: every product is
    /// by kernels whose order of sums no number of rows or ranks moves.
    case cudaFixed(Int)

    /// Reads `cpu`, `cuda:N` and `cuda-fixed:N`, without a number the first one; nil for anything
    /// else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let number = parts.count == 1 ? 0 : Int(parts[1]), number >= 0,
            parts.count == 1 || "\(number)" == parts[1]
        else { return nil }
        switch parts[0] {
        case "cpu" where parts.count == 1: self = .cpu
        case "cuda": self = .cuda(number)
        case "cuda-fixed": self = .cudaFixed(number)
        default: return nil
        }
    }

    public var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let number): "cuda:\(number)"
        case .cudaFixed(let number): "cuda-fixed:\(number)"
        }
    }

    /// The engine that computes: results of one engine are the same bits, those of two differ by
    /// roundings.
    public var engine: String {
        switch self {
        case .cpu: "cpu"
        case .cuda: "cuda"
        case .cudaFixed: "cuda-fixed"
        }
    }
}

/// The memory of a GPU as its context counts it, in bytes.
public struct DeviceMemory: Sendable, Hashable {
    /// What the context may allocate.
    public let budget: Int
    /// What it holds.
    public let used: Int
    /// The most that it held at once.
    public let peak: Int
}

/// An instruction set that the kernels are built for. Every one gives the same bits.
public enum ISA: String, CaseIterable, Sendable {
    /// The scalar definition, Arm's 128-bit vectors, x86's 256-bit and 512-bit ones, and the last with
    /// instructions for bfloat16.
    case scalar, neon, avx2, avx512, avx512bf16

    /// The instruction sets of this build that this machine runs, narrowest first.
    public static var supported: [ISA] {
        allCases.filter { cairn_isa_is_supported($0.native) }
    }

    /// The widest supported instruction set.
    public static var best: ISA { ISA(cairn_isa_best()) }

    var native: cairn_isa {
        switch self {
        case .scalar: .scalar
        case .neon: .neon
        case .avx2: .avx2
        case .avx512: .avx512
        case .avx512bf16: .avx512bf16
        }
    }

    init(_ native: cairn_isa) {
        switch native {
        case .scalar: self = .scalar
        case .neon: self = .neon
        case .avx2: self = .avx2
        case .avx512: self = .avx512
        case .avx512bf16: self = .avx512bf16
        }
    }
}

/// What a matmul multiplies: fp32, or operands rounded to bf16 (nearest even) with fp32 sums.
public enum Precision: String, Sendable, CaseIterable {
    /// Operands as they are, or rounded to bfloat16; sums are fp32 in both.
    case fp32, bf16

    var native: cairn_precision {
        switch self {
        case .fp32: .fp32
        case .bf16: .bf16
        }
    }
}
