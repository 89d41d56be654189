import CoreML
import Foundation
import SegmentationKit

/// The bundle and its models, off the main actor. A model answers only after it has proven itself on this phone.
actor Engine {
    struct Configuration: Hashable, Sendable {
        let artefact: Artefact
        let unit: ComputeUnit
    }

    nonisolated let bundle: SealedBundle
    nonisolated let preprocessing: Check
    private var compiled: [Artefact: URL] = [:]
    private var models: [Configuration: CoreMLModel] = [:]
    private var verdicts: [Configuration: Check] = [:]

    /// Check the bundle's hashes and this phone's preprocessing.
    ///
    /// - Throws: `SegmentationError`: no bundle, another schema, or a file that was changed.
    init() throws {
        guard let resources = Bundle.main.resourceURL else {
            throw SegmentationError.bundle("the app has no resources; build it again")
        }
        bundle = try SealedBundle(at: resources.appendingPathComponent("Bundle"))
        preprocessing = SelfTest.preprocessing(bundle.golden, contract: bundle.contract)
    }

    /// This model on this compute unit against the golden vectors; asked again, the same answer.
    func verdict(_ configuration: Configuration) async -> Check {
        if let known = verdicts[configuration] { return known }
        let artefact = configuration.artefact
        let check: Check
        do {
            check = SelfTest.runtime(
                try await model(configuration), name: artefact.id, golden: bundle.golden, contract: bundle.contract,
                needed: bundle.measuredAgreement(of: artefact),
                exact: artefact.precision == "fp32" && configuration.unit == .cpuOnly)
        } catch {
            check = Check(name: artefact.id, passed: false, detail: error.localizedDescription)
        }
        verdicts[configuration] = check
        return check
    }

    /// - Throws: `SegmentationError.model`: the self-test failed, or Core ML did.
    func segment(_ image: SourceImage, _ configuration: Configuration) async throws -> Segmentation {
        for check in [preprocessing, await verdict(configuration)] where !check.passed {
            throw SegmentationError.model(
                String(localized: "The self-test failed, so nothing is computed: \(check.detail)"))
        }
        return try Segmenter(contract: bundle.contract, model: await model(configuration)).run(image)
    }

    private func model(_ configuration: Configuration) async throws -> CoreMLModel {
        if let loaded = models[configuration] { return loaded }
        let settings = MLModelConfiguration()
        settings.computeUnits = configuration.unit.units
        let program = try await MLModel.load(contentsOf: program(configuration.artefact), configuration: settings)
        let loaded = try CoreMLModel(program, contract: bundle.contract)
        models[configuration] = loaded
        return loaded
    }

    /// Core ML compiles into a temporary folder, which the system empties.
    private func program(_ artefact: Artefact) async throws -> URL {
        if let known = compiled[artefact] { return known }
        let url = try await MLModel.compileModel(at: bundle.url(of: artefact))
        compiled[artefact] = url
        return url
    }
}
