// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
/// Cairn: LoRA fine-tuning on a native engine. One target per noun; arrows point down only.

import PackageDescription

// CAIRN_CUDA=1 links the library that `make -C csrc/cuda` builds, found by pkg-config; CAIRN_CUDA=sim
// builds the same kernels for a simulator. Without it nothing of csrc/cuda is looked at.
let cudaMode = Context.environment["CAIRN_CUDA"] ?? ""
let cudaTargets: [Target] =
    switch cudaMode {
    case "1":
        [.systemLibrary(name: "CCairnCUDA", path: "csrc/cuda/module", pkgConfig: "cairncuda")]
    case "sim":
        [
            .target(
                name: "CCairnCUDA", dependencies: ["CCairn"], path: "csrc/cuda",
                exclude: [
                    "Makefile", "cairncuda.pc.in", "ci", "lt", "module", "nccl", "src",
                    "test", "toolkit.sh", "sim/ptx2cpp.py",
                ],
                sources: ["sim"], publicHeadersPath: "include",
                cxxSettings: [
                    .define("CUSIM"), .headerSearchPath("sim"), .headerSearchPath("lt"),
                    .headerSearchPath("nccl"),
                ])
        ]
    default: []
    }
let usesCUDA = !cudaTargets.isEmpty

// CAIRN_MPI=1 links the system's MPI, which pkg-config calls mpi-c; another value is the name of the
// pkg-config file, as ompi-c or mpich. Without it nothing of csrc/mpi is looked at.
let mpiMode = Context.environment["CAIRN_MPI"] ?? ""
let usesMPI = !["", "0"].contains(mpiMode)
let mpiTargets: [Target] =
    usesMPI
    ? [
        .systemLibrary(
            name: "CMPI", path: "csrc/mpi/module", pkgConfig: mpiMode == "1" ? "mpi-c" : mpiMode),
        .target(
            name: "CCairnMPI", dependencies: ["CMPI"], path: "csrc/mpi", exclude: ["module"]),
    ] : []

let engineSettings: [SwiftSetting] =
    (usesCUDA ? [.define("CAIRN_CUDA")] : []) + (usesMPI ? [.define("CAIRN_MPI")] : [])

let package = Package(
    name: "Cairn",
    platforms: [.macOS(.v14)],
    products: [
        .library(name: "Cairn", targets: ["Cairn"]),
        .executable(name: "cairn", targets: ["CairnCLI"]),
        .executable(name: "cairn-bench", targets: ["CairnBench"]),
    ],
    dependencies: [],
    targets: [
        // MARK: Engine
        .target(
            name: "CCairn",
            path: "csrc",
            exclude: ["cuda", "digest", "mpi", "zlib"],
            publicHeadersPath: "include",
            cSettings: [.headerSearchPath(".")],
            linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
        .target(name: "CairnTensor"),
        .target(
            name: "CairnEngine",
            dependencies: ["CCairn", "CairnTensor"] + (usesCUDA ? ["CCairnCUDA"] : [])
                + (usesMPI ? ["CCairnMPI"] : []),
            swiftSettings: engineSettings),

        // MARK: What is computed
        .target(name: "CairnGraph", dependencies: ["CairnTensor", "CairnEngine"]),
        .target(name: "CCairnDigest", path: "csrc/digest"),
        .systemLibrary(name: "CZlib", path: "csrc/zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(
            name: "CairnFormats", dependencies: ["CairnTensor", "CCairnDigest", "CZlib"]),
        .target(name: "CairnHub", dependencies: ["CairnFormats"]),
        .target(name: "CairnText", dependencies: ["CairnTensor"]),
        .target(name: "CairnModels", dependencies: ["CairnTensor", "CairnGraph", "CairnFormats"]),

        // MARK: Training
        .target(
            name: "CairnTraining",
            dependencies: [
                "CairnTensor", "CairnEngine", "CairnGraph", "CairnFormats", "CairnText",
                "CairnModels",
            ]),

        // MARK: What users see
        .target(
            name: "Cairn",
            dependencies: [
                "CairnTensor", "CairnEngine", "CairnGraph", "CairnFormats", "CairnText",
                "CairnModels", "CairnTraining", "CairnHub",
            ]),
        .executableTarget(
            name: "CairnCLI", dependencies: ["Cairn"], resources: [.copy("Quickstart")],
            swiftSettings: engineSettings),
        .target(
            name: "CRoof", path: "Benchmarks/CRoof",
            linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
        .executableTarget(
            name: "CairnBench", dependencies: ["Cairn", "CairnFormats", "CairnTraining", "CRoof"],
            path: "Benchmarks/CairnBench"),

        // MARK: Tests
        .target(
            name: "TestSupport", dependencies: ["CairnTensor", "CairnFormats"],
            path: "Tests/TestSupport"),
        .target(
            name: "FuzzTargets", dependencies: ["CairnTensor", "CairnFormats", "CairnText"],
            path: "Tests/FuzzTargets"),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"]),
        .testTarget(name: "CairnTensorTests", dependencies: ["CairnTensor", "TestSupport"]),
        .testTarget(
            name: "CairnEngineTests", dependencies: ["CairnEngine", "CairnTensor", "TestSupport"]),
        .testTarget(
            name: "CairnGraphTests",
            dependencies: ["CairnGraph", "CairnEngine", "CairnTensor", "TestSupport"]),
        .testTarget(
            name: "CairnFormatsTests", dependencies: ["CairnFormats", "CairnTensor", "TestSupport"]),
        .testTarget(
            name: "CairnHubTests", dependencies: ["CairnHub", "CairnFormats", "TestSupport"]),
        .testTarget(
            name: "CairnTextTests", dependencies: ["CairnText", "CairnTensor", "TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "CairnModelsTests",
            dependencies: [
                "CairnModels", "CairnGraph", "CairnEngine", "CairnFormats", "TestSupport",
            ]),
        .testTarget(
            name: "CairnTrainingTests", dependencies: ["CairnTraining", "Cairn", "TestSupport"]),
        .testTarget(name: "LayoutTests"),
        .testTarget(
            name: "EndToEndTests",
            dependencies: ["Cairn", "CairnCLI", "CairnBench", "TestSupport"]),
    ] + cudaTargets + mpiTargets,
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11,
    cxxLanguageStandard: .cxx17
)
