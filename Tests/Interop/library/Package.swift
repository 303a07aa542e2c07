// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
/// A package outside of Cairn that uses it: the three programs of the documentation.

import Foundation
import PackageDescription

/// By path, or by git where `CAIRN_URL` and `CAIRN_REVISION` say so.
let environment = ProcessInfo.processInfo.environment
let cairn: Package.Dependency =
    if let url = environment["CAIRN_URL"], let revision = environment["CAIRN_REVISION"] {
        .package(url: url, revision: revision)
    } else {
        .package(name: "Cairn", path: "../../..")
    }

let package = Package(
    name: "Programs",
    platforms: [.macOS(.v14)],
    dependencies: [cairn],
    targets: ["FineTune", "OwnModel", "Server"].map {
        .executableTarget(
            name: $0, dependencies: [.product(name: "Cairn", package: "Cairn")])
    },
    swiftLanguageModes: [.v6]
)
