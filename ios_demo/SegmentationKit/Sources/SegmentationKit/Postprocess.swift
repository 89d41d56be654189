import Foundation

extension Contract {
    /// Logits (1, K, h, w) -> mask (h, w): the largest logit's class, the lowest id on a tie.
    ///
    /// - Throws: `SegmentationError.model`: another number of logits, or one that is not a number.
    public func mask(of logits: [Float]) throws -> [UInt8] {
        guard logits.count == classes * gridSize else {
            throw SegmentationError.model(
                "the model gave \(logits.count) logits; allowed: \(classes) x \(input.height) x \(input.width)")
        }
        guard logits.allSatisfy(\.isFinite) else {
            throw SegmentationError.model("the model gave values that are not numbers")
        }
        return (0..<gridSize).map { (at: Int) -> UInt8 in
            var best = 0
            for k in 1..<classes where logits[k * gridSize + at] > logits[best * gridSize + at] { best = k }
            return UInt8(best)
        }
    }

    /// Logits (1, K, h, w) -> softmax (1, K, h, w). It is not calibrated.
    public func probability(of logits: [Float]) -> [Float] {
        var result = logits
        for at in 0..<gridSize {
            let places = stride(from: at, to: at + classes * gridSize, by: gridSize)
            let largest = places.reduce(-Float.infinity) { max($0, logits[$1]) }
            var sum: Float = 0
            for place in places {
                result[place] = exp(logits[place] - largest)
                sum += result[place]
            }
            for place in places { result[place] /= sum }
        }
        return result
    }

    /// Mask on the network's grid (h, w) -> on the image's (height, width), nearest neighbour, the letterbox cut off.
    public func toImage(_ mask: [UInt8], height: Int, width: Int) -> [UInt8] {
        func nearest(_ source: Int, _ target: Int) -> [Int] {
            let scale = Double(source) / Double(target)
            return (0..<target).map { min(source - 1, Int(((Double($0) + 0.5) * scale).rounded(.down))) }
        }
        let spot = place(height: height, width: width)
        let columns = nearest(spot.width, width).map { $0 + spot.left }
        var result: [UInt8] = []
        result.reserveCapacity(height * width)
        for row in nearest(spot.height, height) {
            let start = (row + spot.top) * input.width
            for column in columns { result.append(mask[start + column]) }
        }
        return result
    }
}

/// A picture under its mask.
public struct Overlay: Sendable {
    private let shown: [UInt8]  // (H, W, 1 or 3)
    private let channels: Int
    private let mask: [UInt8]
    private let colors: [[UInt8]]

    public init(_ image: SourceImage, mask: [UInt8], contract: Contract) {
        shown = image.shown(contract)
        channels = image.channels == 1 ? 1 : 3
        self.mask = mask
        colors = contract.labels.map(\.color)
    }

    /// (H, W, 3) red, green, blue: (1 - opacity) * shown + opacity * color, rounded half up, where the mask is not 0.
    public func tint(opacity: Double = 0.45) -> [UInt8] {
        // Of each class and channel what each shown byte becomes.
        func table(_ color: UInt8) -> [UInt8] {
            let tinted = opacity * Double(color)
            return (0...255).map { (value: Int) -> UInt8 in
                let mixed = (1 - opacity) * Double(value) + tinted
                return UInt8(min(max((mixed + 0.5).rounded(.down), 0), 255))
            }
        }
        let untouched = Array(repeating: [UInt8](0...255), count: 3)
        let tables = [untouched] + colors.dropFirst().map { $0.map(table) }
        var result = [UInt8](repeating: 0, count: mask.count * 3)
        for (at, label) in mask.enumerated() {
            let table = tables[Int(label)]
            for c in 0..<3 {
                result[3 * at + c] = table[c][Int(shown[channels == 1 ? at : 3 * at + c])]
            }
        }
        return result
    }
}
