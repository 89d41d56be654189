import CoreML
import SwiftUI

/// What Core ML may compute on; it decides itself which layers run where.
enum ComputeUnit: String, CaseIterable, Identifiable, Sendable {
    case cpuOnly, cpuAndGPU, cpuAndNeuralEngine, all

    var id: Self { self }

    var units: MLComputeUnits {
        switch self {
        case .cpuOnly: .cpuOnly
        case .cpuAndGPU: .cpuAndGPU
        case .cpuAndNeuralEngine: .cpuAndNeuralEngine
        case .all: .all
        }
    }

    var title: LocalizedStringKey {
        switch self {
        case .cpuOnly: "CPU"
        case .cpuAndGPU: "CPU and GPU"
        case .cpuAndNeuralEngine: "CPU and Neural Engine"
        case .all: "All"
        }
    }
}
