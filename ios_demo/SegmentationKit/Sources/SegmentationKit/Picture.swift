import Foundation

/// An upright picture of 8 bits per channel, alpha dropped: the bytes of the file, no colour management.
public struct Picture: Equatable, Sendable {
    /// Pixels; a phone cannot hold many copies of more. 48 megapixel photos are beyond it, 24 are not.
    public static let mostPixels = 25_000_000

    public let height: Int
    public let width: Int
    public let rgb: [UInt8]  // (H, W, 3)

    /// - Parameters:
    ///   - rgb: (height, width, 3), as stored.
    ///   - orientation: EXIF's tag, 1 to 8; other values count as 1.
    /// - Throws: `SegmentationError.picture`: empty, huge, or of another size than its bytes.
    public init(height: Int, width: Int, rgb: [UInt8], orientation: Int = 1) throws {
        try Self.check(height: height, width: width)
        guard rgb.count == height * width * 3 else {
            throw SegmentationError.picture("\(rgb.count) bytes for a picture of \(width) x \(height) pixels")
        }
        guard (2...8).contains(orientation) else {
            (self.height, self.width, self.rgb) = (height, width, rgb)
            return
        }
        let turned = orientation >= 5
        (self.height, self.width) = turned ? (width, height) : (height, width)
        self.rgb = Self.upright(rgb, height: height, width: width, orientation: orientation)
    }

    /// To be asked before a picture is decoded.
    ///
    /// - Throws: `SegmentationError.picture`: empty or huge.
    public static func check(height: Int, width: Int) throws {
        guard height > 0, width > 0 else { throw SegmentationError.picture("the picture is empty") }
        let (pixels, overflow) = height.multipliedReportingOverflow(by: width)
        guard !overflow, pixels <= mostPixels else {
            throw SegmentationError.picture(
                "the picture has \(width) x \(height) pixels; allowed: \(mostPixels / 1_000_000) megapixels; next: "
                    + "choose a smaller copy")
        }
    }

    /// (H, W) BT.601 in whole numbers, so that every language agrees; three equal values stay as they are.
    public func grey() -> [UInt8] {
        stride(from: 0, to: rgb.count, by: 3).map { (at: Int) -> UInt8 in
            let red = 9798 * UInt32(rgb[at])
            let green = 19235 * UInt32(rgb[at + 1])
            let blue = 3735 * UInt32(rgb[at + 2])
            return UInt8((red + green + blue + 16384) >> 15)
        }
    }

    private static func upright(_ stored: [UInt8], height: Int, width: Int, orientation: Int) -> [UInt8] {
        // Where the stored pixel of an upright place lies: the place itself, mirrored, turned.
        let (rows, columns) = orientation >= 5 ? (width, height) : (height, width)
        var result = [UInt8](repeating: 0, count: stored.count)
        for y in 0..<rows {
            for x in 0..<columns {
                let (from, at): (Int, Int) =
                    switch orientation {
                    case 2: (y, width - 1 - x)
                    case 3: (height - 1 - y, width - 1 - x)
                    case 4: (height - 1 - y, x)
                    case 5: (x, y)
                    case 6: (height - 1 - x, y)
                    case 7: (height - 1 - x, width - 1 - y)
                    default: (x, width - 1 - y)  // 8
                    }
                let (target, source) = (3 * (y * columns + x), 3 * (from * width + at))
                for c in 0..<3 { result[target + c] = stored[source + c] }
            }
        }
        return result
    }
}
