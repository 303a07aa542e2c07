// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
/// Cairn: LoRA fine-tuning on a native engine. One target per noun; arrows point down only.

import PackageDescription

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
            exclude: ["digest", "zlib"],
            publicHeadersPath: "include",
            cSettings: [.headerSearchPath(".")],
            linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
        .target(name: "CairnTensor"),
        .target(name: "CairnEngine", dependencies: ["CCairn", "CairnTensor"]),

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
            name: "CairnCLI", dependencies: ["Cairn"], resources: [.copy("Quickstart")]),
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
        .testTarget(name: "EndToEndTests", dependencies: ["Cairn", "CairnCLI", "TestSupport"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
