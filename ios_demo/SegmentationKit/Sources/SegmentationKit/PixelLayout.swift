import Foundation

/// How the bytes of a decoded picture lie in memory, so that they are read as they are, without colour management.
public struct PixelLayout: Equatable, Sendable {
    public let bytesPerPixel: Int
    public let bytesPerRow: Int
    public let colors: [Int]  // where in a pixel red, green and blue lie, or grey, or the palette's index
    public let alpha: Int?
    public let premultiplied: Bool
    public let palette: [UInt8]?  // red, green, blue of each index

    public init(
        bytesPerPixel: Int, bytesPerRow: Int, colors: [Int], alpha: Int? = nil, premultiplied: Bool = false,
        palette: [UInt8]? = nil
    ) {
        (self.bytesPerPixel, self.bytesPerRow, self.colors) = (bytesPerPixel, bytesPerRow, colors)
        (self.alpha, self.premultiplied, self.palette) = (alpha, premultiplied, palette)
    }

    /// (height, width, 3); alpha is dropped.
    ///
    /// - Throws: `SegmentationError.picture`: fewer bytes than the layout needs, an index beyond the palette, or alpha
    ///   that was multiplied into the colours, which cannot be undone exactly.
    public func rgb(_ data: Data, height: Int, width: Int) throws -> [UInt8] {
        try Picture.check(height: height, width: width)
        let needed = (height - 1) * bytesPerRow + width * bytesPerPixel
        let offsets = colors + (alpha.map { [$0] } ?? [])
        guard colors.count == 1 || colors.count == 3, offsets.allSatisfy({ (0..<bytesPerPixel).contains($0) }),
            width * bytesPerPixel <= bytesPerRow, data.count >= needed
        else {
            throw SegmentationError.picture("the picture's \(data.count) bytes do not fit \(width) x \(height) pixels")
        }
        var result = [UInt8](repeating: 0, count: height * width * 3)
        let places = colors.count == 3 ? colors : [colors[0], colors[0], colors[0]]
        try data.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) in
            var target = 0
            for y in 0..<height {
                var source = y * bytesPerRow
                for _ in 0..<width {
                    if premultiplied, let alpha, bytes[source + alpha] != 255 {
                        throw SegmentationError.picture(
                            "the picture is transparent and this system has mixed that into its colours; next: remove "
                                + "its alpha channel")
                    }
                    if let palette {
                        let index = 3 * Int(bytes[source + places[0]])
                        guard index + 2 < palette.count else {
                            throw SegmentationError.picture("the picture uses a colour that its palette lacks")
                        }
                        for c in 0..<3 { result[target + c] = palette[index + c] }
                    } else {
                        for c in 0..<3 { result[target + c] = bytes[source + places[c]] }
                    }
                    target += 3
                    source += bytesPerPixel
                }
            }
        }
        return result
    }
}
