// SPDX-License-Identifier: Apache-2.0
/// The umbrella: `import Cairn` brings every library of the package.

@_exported import CairnEngine
@_exported import CairnFormats
@_exported import CairnGraph
@_exported import CairnHub
@_exported import CairnModels
@_exported import CairnTensor
@_exported import CairnText
@_exported import CairnTraining
