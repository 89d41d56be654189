import Foundation

public typealias CFString = String
public typealias CFData = Data
public typealias CFDictionary = [String: Any]

public enum CGColorSpaceModel { case unknown, monochrome, rgb, cmyk, lab, deviceN, indexed, pattern, XYZ }
public enum CGColorRenderingIntent { case defaultIntent }

public class CGColorSpace {
    public static let sRGB: CFString = ""
    public init?(name: CFString) { fatalError() }
    public var model: CGColorSpaceModel { fatalError() }
    public var baseColorSpace: CGColorSpace? { fatalError() }
    public var colorTable: [UInt8]? { fatalError() }
}

public enum CGImageAlphaInfo: UInt32 {
    case none, premultipliedLast, premultipliedFirst, last, first, noneSkipLast, noneSkipFirst, alphaOnly
}

public struct CGBitmapInfo: OptionSet {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let floatComponents = CGBitmapInfo(rawValue: 256)
    public static let byteOrderMask = CGBitmapInfo(rawValue: 0x7000)
    public static let byteOrder16Little = CGBitmapInfo(rawValue: 0x1000)
    public static let byteOrder32Little = CGBitmapInfo(rawValue: 0x2000)
}

public class CGDataProvider {
    public init?(data: CFData) { fatalError() }
    public var data: CFData? { fatalError() }
}

public final class CGImage: @unchecked Sendable {
    public init?(
        width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int, space: CGColorSpace,
        bitmapInfo: CGBitmapInfo, provider: CGDataProvider, decode: UnsafePointer<Double>?, shouldInterpolate: Bool,
        intent: CGColorRenderingIntent
    ) { fatalError() }
    public var width: Int { fatalError() }
    public var height: Int { fatalError() }
    public var bitsPerComponent: Int { fatalError() }
    public var bitsPerPixel: Int { fatalError() }
    public var bytesPerRow: Int { fatalError() }
    public var colorSpace: CGColorSpace? { fatalError() }
    public var alphaInfo: CGImageAlphaInfo { fatalError() }
    public var bitmapInfo: CGBitmapInfo { fatalError() }
    public var dataProvider: CGDataProvider? { fatalError() }
}

public class CGImageSource {}
public enum CGImageSourceStatus { case statusUnexpectedEOF, statusInvalidData, statusIncomplete, statusComplete }
public enum CGImagePropertyOrientation: UInt32 {
    case up = 1, upMirrored, down, downMirrored, leftMirrored, right, rightMirrored, left
}
public let kCGImageSourceShouldAllowFloat: CFString = ""
public let kCGImagePropertyPixelWidth: CFString = ""
public let kCGImagePropertyPixelHeight: CFString = ""
public let kCGImagePropertyOrientation: CFString = ""
public func CGImageSourceCreateWithData(_ data: CFData, _ options: CFDictionary?) -> CGImageSource? { fatalError() }
public func CGImageSourceCopyPropertiesAtIndex(_ s: CGImageSource, _ i: Int, _ o: CFDictionary?) -> Any? {
    fatalError()
}
public func CGImageSourceCreateImageAtIndex(_ s: CGImageSource, _ i: Int, _ o: CFDictionary?) -> CGImage? { fatalError() }
public func CGImageSourceGetStatusAtIndex(_ s: CGImageSource, _ i: Int) -> CGImageSourceStatus { fatalError() }
