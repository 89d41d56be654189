import Foundation
import Observation
import SegmentationKit
import SwiftUI
import UIKit

/// What the screen shows, and what its buttons do.
@MainActor
@Observable
final class Demo {
    /// A picture or a golden image that was opened.
    struct Opened: Sendable {
        let name: String
        let image: SourceImage
    }

    /// A mask with the picture it was computed for.
    struct Result: Sendable {
        let opened: Opened
        let segmentation: Segmentation
        let overlay: Overlay
    }

    static let runs = 50  // of one measurement

    private(set) var engine: Engine?
    private(set) var refusal: String?  // why no model runs in this app at all
    private(set) var verdicts: [ComputeUnit: Check] = [:]  // of the artefact chosen
    private(set) var result: Result?
    private(set) var picture: CGImage?
    private(set) var times: [Segmentation.Times] = []
    private(set) var busy = false
    var message: String?
    var opacity = 0.45
    var artefact: Artefact?
    var unit = ComputeUnit.all

    var configuration: Engine.Configuration? {
        artefact.map { Engine.Configuration(artefact: $0, unit: unit) }
    }

    /// The red banner's text, or nil.
    var banner: String? {
        if let refusal { return refusal }
        if let engine, !engine.preprocessing.passed {
            return String(localized: "Preprocessing differs on this phone: \(engine.preprocessing.detail)")
        }
        if let verdict = verdicts[unit], !verdict.passed { return verdict.detail }
        return nil
    }

    var ready: Bool { !busy && banner == nil && verdicts[unit]?.passed == true }

    func open() async {
        guard engine == nil, refusal == nil else { return }
        do {
            let engine = try await Task.detached(priority: .userInitiated) { try Engine() }.value
            self.engine = engine
            artefact = engine.bundle.artefacts.first { $0.precision == "fp16" } ?? engine.bundle.artefacts.first
            await prove()
        } catch {
            refusal = error.localizedDescription
        }
    }

    /// The self-test of the artefact chosen on every compute unit; then the picture again.
    func prove() async {
        guard let engine, let artefact else { return }
        verdicts = [:]
        for unit in ComputeUnit.allCases {
            let verdict = await engine.verdict(.init(artefact: artefact, unit: unit))
            guard artefact == self.artefact else { return }  // another one was chosen meanwhile
            verdicts[unit] = verdict
        }
        await again()
    }

    func again() async {
        if let opened = result?.opened { await segment(opened) }
    }

    func show(_ golden: Golden) async {
        await segment(Opened(name: golden.name, image: golden.image))
    }

    func show(_ name: String, _ data: Data) async {
        await show(name) { try PictureReader.read(data) }
    }

    func show(_ name: String, _ image: UIImage) async {
        await show(name) { try PictureReader.read(image) }
    }

    func show(_ file: URL) async {
        let allowed = file.startAccessingSecurityScopedResource()
        defer { if allowed { file.stopAccessingSecurityScopedResource() } }
        await show(file.lastPathComponent) { try PictureReader.read(Data(contentsOf: file)) }
    }

    /// The same picture `runs` times, for the latency panel.
    func measure() async {
        guard ready, let engine, let configuration, let image = result?.opened.image else { return }
        busy = true
        defer { busy = false }
        times = []
        do {
            for _ in 0..<Self.runs {
                let found = try await engine.segment(image, configuration).times
                guard configuration == self.configuration else { return times = [] }
                times.append(found)
            }
        } catch {
            message = error.localizedDescription
        }
    }

    /// Draw the mask again, after the opacity changed.
    func draw() async {
        guard let result else { return picture = nil }
        let (opacity, image) = (opacity, result.opened.image)
        let drawn = await Task.detached(priority: .userInitiated) {
            CGImage.from(rgb: result.overlay.tint(opacity: opacity), height: image.height, width: image.width)
        }.value
        if !Task.isCancelled { picture = drawn }
    }

    private func show(_ name: String, _ read: @escaping @Sendable () throws -> Picture) async {
        guard let contract = engine?.bundle.contract else { return }
        do {
            let image = try await Task.detached(priority: .userInitiated) {
                try SourceImage(read(), contract: contract)
            }.value
            await segment(Opened(name: name, image: image))
        } catch {
            message = error.localizedDescription
        }
    }

    private func segment(_ opened: Opened) async {
        guard ready, let engine, let configuration else { return }
        busy = true
        defer { busy = false }
        do {
            let found = try await engine.segment(opened.image, configuration)
            let contract = engine.bundle.contract
            let overlay = await Task.detached(priority: .userInitiated) {
                Overlay(opened.image, mask: found.mask, contract: contract)
            }.value
            result = Result(opened: opened, segmentation: found, overlay: overlay)
            times = [found.times]
            await draw()
        } catch {
            message = error.localizedDescription
        }
    }
}
