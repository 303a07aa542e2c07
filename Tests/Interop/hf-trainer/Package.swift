// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
/// The Swift side of the suite: trains in a fixed order of rows, which no command does.

import PackageDescription

let package = Package(
    name: "HFTrainerDriver",
    platforms: [.macOS(.v14)],
    dependencies: [.package(name: "Cairn", path: "../../..")],
    targets: [
        .executableTarget(
            name: "hf-trainer-driver", dependencies: [.product(name: "Cairn", package: "Cairn")],
            path: "driver")
    ],
    swiftLanguageModes: [.v6]
)
