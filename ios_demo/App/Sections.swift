import SegmentationKit
import SwiftUI

/// Whether this phone may be trusted with the model: a red banner where not.
struct VerdictSection: View {
    let demo: Demo

    var body: some View {
        if let banner = demo.banner {
            Section {
                Label {
                    VStack(alignment: .leading) {
                        Text("Self-test failed: no result is shown").bold()
                        Text(banner).font(.footnote)
                    }
                } icon: {
                    Image(systemName: "exclamationmark.triangle.fill")
                }
                .foregroundStyle(.white)
                .accessibilityElement(children: .combine)
                .accessibilityAddTraits(.isHeader)
            }
            .listRowBackground(Color.red)
        }
    }
}

/// The picture under its mask, the legend, and how strong the colours are.
struct ResultSection: View {
    @Bindable var demo: Demo

    var body: some View {
        if let result = demo.result, demo.banner == nil {
            Section(result.opened.name) {
                if let picture = demo.picture {
                    Image(picture, scale: 1, label: Text(spoken(result.segmentation)))
                        .resizable()
                        .interpolation(.none)
                        .scaledToFit()
                }
                LabeledContent("Opacity") {
                    Slider(value: $demo.opacity, in: 0...1) { Text("Opacity of the colours") }
                }
                .task(id: demo.opacity) { await demo.draw() }
                ForEach(result.segmentation.parts, id: \.label.id) { PartRow(part: $0) }
                Text("Area: share of the picture. p: the network's mean softmax, not calibrated.").font(.footnote)
            }
        }
    }

    private func spoken(_ segmentation: Segmentation) -> String {
        let found = segmentation.parts.filter { $0.pixels > 0 }.map(\.label.name)
        if found.isEmpty { return String(localized: "Nothing was found in the picture") }
        return String(localized: "Picture with \(found.formatted())")
    }
}

/// One class: its colour, area and probability.
struct PartRow: View {
    let part: Segmentation.Part

    var body: some View {
        LabeledContent {
            VStack(alignment: .trailing) {
                Text(part.share, format: .percent.precision(.fractionLength(2)))
                if let probability = part.probability {
                    Text("p \(probability, format: .number.precision(.fractionLength(2)))").font(.footnote)
                }
            }
        } label: {
            Label {
                Text(part.label.name)
            } icon: {
                RoundedRectangle(cornerRadius: 4).fill(color).frame(width: 20, height: 20)
            }
        }
        .opacity(part.pixels == 0 ? 0.5 : 1)
        .accessibilityElement(children: .combine)
    }

    private var color: Color {
        let values = part.label.color.map { Double($0) / 255 }
        return Color(.sRGB, red: values[0], green: values[1], blue: values[2])
    }
}

/// Which artefact runs on what, and whether each proved itself.
struct ModelSection: View {
    @Bindable var demo: Demo

    var body: some View {
        Section("Model") {
            Picker("Precision", selection: $demo.artefact) {
                ForEach(demo.engine?.bundle.artefacts ?? []) { Text($0.precision).tag(Optional($0)) }
            }
            .onChange(of: demo.artefact) { Task { await demo.prove() } }
            Picker("Compute unit", selection: $demo.unit) {
                ForEach(ComputeUnit.allCases) { Text($0.title).tag($0) }
            }
            .onChange(of: demo.unit) { Task { await demo.again() } }
            if let check = demo.engine?.preprocessing { CheckRow(title: "Preprocessing", check: check) }
            ForEach(ComputeUnit.allCases) { CheckRow(title: $0.title, check: demo.verdicts[$0]) }
        }
        .disabled(demo.busy)
    }
}

/// One line of the self-test.
struct CheckRow: View {
    let title: LocalizedStringKey
    let check: Check?  // nil while it runs

    var body: some View {
        HStack {
            VStack(alignment: .leading) {
                Text(title)
                if let check { Text(check.detail).font(.footnote) }
            }
            Spacer()
            if let check {
                Text(check.passed ? "ok" : "FAILED").foregroundStyle(check.passed ? Color.primary : Color.red).bold()
            } else {
                ProgressView()
            }
        }
        .accessibilityElement(children: .combine)
    }
}

/// Median and 90th percentile of each stage.
struct LatencySection: View {
    let demo: Demo

    var body: some View {
        Section("Latency on this phone, ms") {
            if !demo.times.isEmpty {
                Grid(alignment: .trailing) {
                    GridRow {
                        Text("Stage").gridColumnAlignment(.leading)
                        Text("Median")
                        Text("p90")
                    }
                    .bold()
                    row("Preprocessing", \.pre)
                    row("Model", \.model)
                    row("Postprocessing", \.post)
                    row("End to end", \.endToEnd)
                }
                .monospacedDigit()
                Text("\(demo.times.count) run(s), thermal state \(thermal). Decoding and drawing are not included.")
                    .font(.footnote)
            }
            Button("Measure \(Demo.runs) runs", systemImage: "stopwatch") { Task { await demo.measure() } }
                .disabled(!demo.ready || demo.result == nil)
        }
    }

    private func row(_ title: LocalizedStringKey, _ stage: KeyPath<Segmentation.Times, Double>) -> some View {
        let found = Percentiles(demo.times.map { $0[keyPath: stage] })
        return GridRow {
            Text(title)
            Text(found?.median ?? 0, format: .number.precision(.fractionLength(2)))
            Text(found?.p90 ?? 0, format: .number.precision(.fractionLength(2)))
        }
        .accessibilityElement(children: .combine)
    }

    private var thermal: String {
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: String(localized: "nominal")
        case .fair: String(localized: "fair")
        case .serious: String(localized: "serious")
        case .critical: String(localized: "critical")
        @unknown default: String(localized: "unknown")
        }
    }
}

/// What the model is for, in the contract's own words.
struct AboutSection: View {
    let demo: Demo

    var body: some View {
        if let bundle = demo.engine?.bundle {
            Section("About") {
                LabeledContent("Model", value: bundle.contract.name)
                LabeledContent("Modality", value: bundle.contract.modality)
                LabeledContent("Input", value: "\(bundle.contract.input.width) x \(bundle.contract.input.height)")
                if let dice = demo.artefact.flatMap(bundle.dice(of:)) {
                    LabeledContent("Dice when converted", value: dice, format: .number.precision(.fractionLength(3)))
                }
                Text(bundle.contract.intendedUse).font(.footnote)
            }
        }
    }
}
