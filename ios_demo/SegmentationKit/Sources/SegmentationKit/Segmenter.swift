import Foundation

/// What runs the network: (1, C, h, w) normalised input -> (1, K, h, w) logits, both row-major.
public protocol SegmentationModel {
    func logits(for input: [Float]) throws -> [Float]
}

/// A mask with what a user is shown of it.
public struct Segmentation: Sendable {
    /// One class other than background.
    public struct Part: Equatable, Sendable {
        public let label: Contract.Label
        public let pixels: Int  // of the image
        public let share: Double  // of the image's pixels, 0 to 1
        /// Mean softmax over the class's pixels on the grid, not calibrated; nil where it has none.
        public let probability: Double?
    }

    /// Milliseconds. Decoding the file and drawing are not in it.
    public struct Times: Equatable, Sendable {
        public let pre: Double
        public let model: Double
        public let post: Double

        public var endToEnd: Double { pre + model + post }
    }

    public let mask: [UInt8]  // (H, W), on the image's grid
    public let parts: [Part]
    public let times: Times
}

/// Image -> pixels -> logits -> mask by the contract's rules.
public struct Segmenter {
    public let contract: Contract
    public let model: any SegmentationModel

    public init(contract: Contract, model: any SegmentationModel) {
        (self.contract, self.model) = (contract, model)
    }

    /// - Throws: `SegmentationError.model`, or what the model throws.
    public func run(_ image: SourceImage) throws -> Segmentation {
        let clock = ContinuousClock()
        let start = clock.now
        let input = contract.normalise(contract.toGrid(image))
        let fed = clock.now
        let logits = try model.logits(for: input)
        let answered = clock.now
        let grid = try contract.mask(of: logits)
        let mask = contract.toImage(grid, height: image.height, width: image.width)
        let done = clock.now
        let times = Segmentation.Times(
            pre: milliseconds(fed - start), model: milliseconds(answered - fed), post: milliseconds(done - answered))
        return Segmentation(mask: mask, parts: parts(logits, grid, mask), times: times)
    }

    private func parts(_ logits: [Float], _ grid: [UInt8], _ mask: [UInt8]) -> [Segmentation.Part] {
        let probability = contract.probability(of: logits)
        var pixels = [Int](repeating: 0, count: contract.classes)
        for label in mask { pixels[Int(label)] += 1 }
        var sums = [Double](repeating: 0, count: contract.classes)
        var counts = [Int](repeating: 0, count: contract.classes)
        for (at, label) in grid.enumerated() {
            sums[Int(label)] += Double(probability[Int(label) * contract.gridSize + at])
            counts[Int(label)] += 1
        }
        return contract.labels.dropFirst().map { label in
            Segmentation.Part(
                label: label, pixels: pixels[label.id], share: Double(pixels[label.id]) / Double(mask.count),
                probability: counts[label.id] == 0 ? nil : sums[label.id] / Double(counts[label.id]))
        }
    }
}

private func milliseconds(_ duration: Duration) -> Double {
    let (seconds, attoseconds) = duration.components
    return Double(seconds) * 1e3 + Double(attoseconds) / 1e15
}

/// Median and 90th percentile, between neighbours by linear interpolation as numpy does it.
public struct Percentiles: Equatable, Sendable {
    public let median: Double
    public let p90: Double

    /// nil of no values.
    public init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        func at(_ part: Double) -> Double {
            let place = part * Double(sorted.count - 1)
            let below = Int(place)
            let above = min(below + 1, sorted.count - 1)
            return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
        }
        (median, p90) = (at(0.5), at(0.9))
    }
}
