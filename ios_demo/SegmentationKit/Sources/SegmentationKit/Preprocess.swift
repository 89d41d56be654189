import Foundation

/// Where an image lies on the network's grid, in grid pixels.
struct Placement: Equatable {
    let top: Int
    let left: Int
    let height: Int
    let width: Int
}

/// The source values that one target value is a weighted sum of.
private struct Taps {
    let first: Int
    let weights: [Double]

    /// The triangle filter along one axis: half-pixel centres, antialiased.
    static func triangle(source: Int, target: Int) -> [Taps] {
        let scale = Double(source) / Double(target)
        let support = max(scale, 1)
        return (0..<target).map { (index: Int) -> Taps in
            let centre = (Double(index) + 0.5) * scale - 0.5
            let first = max(0, Int((centre - support).rounded(.up)))
            let last = min(source - 1, Int((centre + support).rounded(.down)))
            let weights = (first...last).map { (at: Int) -> Double in max(0, 1 - abs(Double(at) - centre) / support) }
            let sum = weights.reduce(0, +)
            return Taps(first: first, weights: weights.map { $0 / sum })
        }
    }
}

extension Contract {
    func place(height: Int, width: Int) -> Placement {
        guard resize.mode == .letterbox else {
            return Placement(top: 0, left: 0, height: input.height, width: input.width)
        }
        let scale = min(Double(input.height) / Double(height), Double(input.width) / Double(width))
        func fit(_ size: Int, _ most: Int) -> Int {
            min(most, max(1, Int((Double(size) * scale + 0.5).rounded(.down))))
        }
        let (rows, columns) = (fit(height, input.height), fit(width, input.width))
        return Placement(
            top: (input.height - rows) / 2, left: (input.width - columns) / 2, height: rows, width: columns)
    }

    /// Image (H, W, C) -> pixels (h, w, C) on the network's grid.
    public func toGrid(_ image: SourceImage) -> [Int16] {
        let spot = place(height: image.height, width: image.width)
        let channels = image.channels
        let small = resized(image, spot)
        var grid = [Double](repeating: intensity.low, count: gridSize * channels)
        for y in 0..<spot.height {
            let row = small[y * spot.width * channels..<(y + 1) * spot.width * channels]
            let start = ((y + spot.top) * input.width + spot.left) * channels
            grid.replaceSubrange(start..<start + row.count, with: row)
        }
        let limits = input.pixel.limits
        // The tiny offset makes exact halves round up on every machine, whatever the order of summation was.
        return grid.map { (value: Double) -> Int16 in
            Int16(min(max((value + 0.5 + 1e-6).rounded(.down), limits.lowerBound), limits.upperBound))
        }
    }

    /// Columns first, so that of a large image only narrow rows are held.
    private func resized(_ image: SourceImage, _ spot: Placement) -> [Double] {
        let channels = image.channels
        let columns = Taps.triangle(source: image.width, target: spot.width)
        let rows = Taps.triangle(source: image.height, target: spot.height)
        let length = spot.width * channels
        var narrow = [Double](repeating: 0, count: image.height * length)
        for y in 0..<image.height {
            let row = image.row(y)
            for (x, taps) in columns.enumerated() {
                for c in 0..<channels {
                    var sum = 0.0
                    for (offset, weight) in taps.weights.enumerated() {
                        sum += weight * row[(taps.first + offset) * channels + c]
                    }
                    narrow[y * length + x * channels + c] = sum
                }
            }
        }
        var small = [Double](repeating: 0, count: spot.height * length)
        for (y, taps) in rows.enumerated() {
            for (offset, weight) in taps.weights.enumerated() {
                let start = (taps.first + offset) * length
                for at in 0..<length { small[y * length + at] += weight * narrow[start + at] }
            }
        }
        return small
    }

    /// Pixels (h, w, C) -> network input (1, C, h, w), as Core ML takes it.
    public func normalise(_ pixels: [Int16]) -> [Float] {
        let (low, high) = (Float(intensity.low), Float(intensity.high))
        return (0..<input.channels).flatMap { (c: Int) -> [Float] in
            let (mean, std) = (Float(intensity.mean[c]), Float(intensity.std[c]))
            return stride(from: c, to: pixels.count, by: input.channels).map { (at: Int) -> Float in
                (min(max(Float(pixels[at]), low), high) - mean) / std
            }
        }
    }
}
