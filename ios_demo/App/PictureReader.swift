import Foundation
import ImageIO
import SegmentationKit
import UIKit

/// Picture files and camera pictures as bytes.
///
/// The decoded bytes are read where ImageIO put them and never drawn, because drawing converts colours and multiplies
/// alpha in. So a PNG's values are the file's own; a JPEG's are those of Apple's decoder, in the file's own colour space.
enum PictureReader {
    /// - Throws: `SegmentationError.picture`: not a picture, cut off, huge, or not 8 bits grey or RGB.
    static func read(_ data: Data) throws -> Picture {
        let options = [kCGImageSourceShouldAllowFloat: false] as CFDictionary
        guard let source = CGImageSourceCreateWithData(data as CFData, options),
            let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, options) as? [CFString: Any],
            let width = properties[kCGImagePropertyPixelWidth] as? Int,
            let height = properties[kCGImagePropertyPixelHeight] as? Int
        else {
            throw SegmentationError.picture(String(localized: "Not a readable picture; allowed: PNG, JPEG, HEIC"))
        }
        try Picture.check(height: height, width: width)
        guard let image = CGImageSourceCreateImageAtIndex(source, 0, options),
            CGImageSourceGetStatusAtIndex(source, 0) == .statusComplete
        else {
            throw SegmentationError.picture(String(localized: "The picture is damaged"))
        }
        return try read(image, orientation: properties[kCGImagePropertyOrientation] as? Int ?? 1)
    }

    /// - Throws: as `read(_: Data)`.
    static func read(_ image: UIImage) throws -> Picture {
        guard let pixels = image.cgImage else {
            throw SegmentationError.picture(String(localized: "The camera gave no picture"))
        }
        let tag: CGImagePropertyOrientation =
            switch image.imageOrientation {
            case .up: .up
            case .upMirrored: .upMirrored
            case .down: .down
            case .downMirrored: .downMirrored
            case .left: .left
            case .leftMirrored: .leftMirrored
            case .right: .right
            case .rightMirrored: .rightMirrored
            @unknown default: .up
            }
        return try read(pixels, orientation: Int(tag.rawValue))
    }

    private static func read(_ image: CGImage, orientation: Int) throws -> Picture {
        try Picture.check(height: image.height, width: image.width)
        guard image.bitsPerComponent == 8, !image.bitmapInfo.contains(.floatComponents) else {
            throw SegmentationError.picture(
                String(localized: "The picture has \(image.bitsPerComponent) bits per channel; allowed: 8"))
        }
        guard let layout = layout(of: image), let data = image.dataProvider?.data as Data? else {
            throw SegmentationError.picture(String(localized: "The picture is neither grey nor red, green, blue"))
        }
        let rgb = try layout.rgb(data, height: image.height, width: image.width)
        return try Picture(height: image.height, width: image.width, rgb: rgb, orientation: orientation)
    }

    /// Where the bytes lie; nil for what is not grey, RGB or a palette of RGB.
    private static func layout(of image: CGImage) -> PixelLayout? {
        guard let space = image.colorSpace else { return nil }
        let colors: Int
        var palette: [UInt8]?
        switch space.model {
        case .monochrome: colors = 1
        case .rgb: colors = 3
        case .indexed:
            guard space.baseColorSpace?.model == .rgb, let table = space.colorTable else { return nil }
            (colors, palette) = (1, table)
        default: return nil
        }
        let size = image.bitsPerPixel / 8
        let info = image.alphaInfo
        let alphaFirst = [.first, .premultipliedFirst, .noneSkipFirst].contains(info)
        let padded = alphaFirst || [.last, .premultipliedLast, .noneSkipLast].contains(info)
        guard size >= colors + (padded ? 1 : 0) else { return nil }
        let order = image.bitmapInfo.intersection(.byteOrderMask)
        let reversed = order == .byteOrder32Little || order == .byteOrder16Little
        func place(_ index: Int) -> Int { reversed ? size - 1 - index : index }
        let hasAlpha = [.first, .last, .premultipliedFirst, .premultipliedLast].contains(info)
        return PixelLayout(
            bytesPerPixel: size, bytesPerRow: image.bytesPerRow,
            colors: (0..<colors).map { place($0 + (alphaFirst ? 1 : 0)) },
            alpha: hasAlpha ? place(alphaFirst ? 0 : colors) : nil,
            premultiplied: [.premultipliedFirst, .premultipliedLast].contains(info), palette: palette)
    }
}

extension CGImage {
    /// (height, width, 3) bytes for the screen.
    static func from(rgb: [UInt8], height: Int, width: Int) -> CGImage? {
        guard let provider = CGDataProvider(data: Data(rgb) as CFData),
            let space = CGColorSpace(name: CGColorSpace.sRGB)
        else { return nil }
        return CGImage(
            width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 24, bytesPerRow: 3 * width, space: space,
            bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue), provider: provider, decode: nil,
            shouldInterpolate: false, intent: .defaultIntent)
    }
}
