import Foundation

/// The contract's image: (H, W, C) numbers, not yet on the network's grid.
public struct SourceImage: Sendable {
    public let height: Int
    public let width: Int
    public let channels: Int
    private let storage: Storage

    private enum Storage: Sendable {
        case bytes([UInt8], table: [Double])  // a picture; the table gives the value of each byte
        case numbers([Double])  // a scan
    }

    /// A scan as it is: (H, W) or (H, W, C).
    ///
    /// - Throws: `SegmentationError.picture`: empty, of other channels than the contract's, NaN or infinite.
    public init(_ array: NumpyArray, contract: Contract) throws {
        let shape = array.shape.count == 2 ? array.shape + [1] : array.shape
        guard shape.count == 3, shape[2] == contract.input.channels, !shape.contains(0) else {
            throw SegmentationError.picture(
                "image of shape \(array.shape); allowed: height, width and \(contract.input.channels) channel(s)")
        }
        guard array.values.allSatisfy(\.isFinite) else {
            throw SegmentationError.picture("the image has NaN or infinite pixels")
        }
        (height, width, channels) = (shape[0], shape[1], shape[2])
        storage = .numbers(array.values)
    }

    /// A picture: red, green, blue as they are, or their grey; for int16 contracts a screenshot of the window.
    ///
    /// - Throws: `SegmentationError.picture`: the contract is for another number of channels.
    public init(_ picture: Picture, contract: Contract) throws {
        let (low, high) = (contract.intensity.low, contract.intensity.high)
        let bytes: [UInt8]
        switch contract.input.channels {
        case 1: bytes = picture.grey()
        case 3: bytes = picture.rgb
        default:
            throw SegmentationError.picture("a picture for \(contract.input.channels) channels; allowed: 1 or 3")
        }
        (height, width, channels) = (picture.height, picture.width, contract.input.channels)
        let table = (0...255).map { (value: Int) -> Double in
            contract.input.pixel == .uint8 ? Double(value) : low + Double(value) / 255 * (high - low)
        }
        storage = .bytes(bytes, table: table)
    }

    /// The values of one row, (W, C).
    func row(_ y: Int) -> [Double] {
        let range = y * width * channels..<(y + 1) * width * channels
        switch storage {
        case .bytes(let bytes, let table): return bytes[range].map { table[Int($0)] }
        case .numbers(let values): return Array(values[range])
        }
    }

    /// (H, W, C) bytes for the screen: the contract's window from 0 to 255.
    public func shown(_ contract: Contract) -> [UInt8] {
        let (low, high) = (contract.intensity.low, contract.intensity.high)
        func show(_ value: Double) -> UInt8 {
            UInt8((min(max((value - low) / (high - low), 0), 1) * 255 + 0.5).rounded(.down))
        }
        switch storage {
        case .bytes(let bytes, let table):
            let shown = table.map(show)
            return bytes.map { shown[Int($0)] }
        case .numbers(let values): return values.map(show)
        }
    }
}
