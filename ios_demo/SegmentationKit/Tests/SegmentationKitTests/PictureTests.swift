import Foundation
import XCTest

@testable import SegmentationKit

final class PictureTests: XCTestCase {
    /// (height, width) grey values as a picture.
    private func picture(_ rows: [[UInt8]], orientation: Int = 1) throws -> Picture {
        let rgb = rows.flatMap { $0.flatMap { [$0, $0, $0] } }
        return try Picture(height: rows.count, width: rows[0].count, rgb: rgb, orientation: orientation)
    }

    func testTurnsUprightByTheExifTag() throws {
        let upright: [[UInt8]] = [[1, 2, 3], [4, 5, 6]]
        let stored: [[[UInt8]]] = [
            upright, [[3, 2, 1], [6, 5, 4]], [[6, 5, 4], [3, 2, 1]], [[4, 5, 6], [1, 2, 3]],
            [[1, 4], [2, 5], [3, 6]], [[3, 6], [2, 5], [1, 4]], [[6, 3], [5, 2], [4, 1]], [[4, 1], [5, 2], [6, 3]],
        ]
        for (index, rows) in stored.enumerated() {
            XCTAssertEqual(try picture(rows, orientation: index + 1), try picture(upright), "EXIF \(index + 1)")
        }
        XCTAssertEqual(try picture(upright, orientation: 99), try picture(upright))
    }

    func testGreyIsInWholeNumbers() throws {
        let colours = try Picture(height: 1, width: 4, rgb: [255, 0, 0, 0, 255, 0, 0, 0, 255, 77, 77, 77])
        XCTAssertEqual(colours.grey(), [76, 150, 29, 77])
    }

    func testAnInt16ContractTakesAPictureAsTheWindow() throws {
        let contract = try Contract.decode(
            contractJSON(["input": ["height": 1, "width": 3, "channels": 1, "pixel": "int16"]]))
        let image = try SourceImage(picture([[0, 128, 255]]), contract: contract)
        XCTAssertEqual(image.row(0), [-160, -160 + 128.0 / 255 * 400, 240])
        XCTAssertEqual(contract.toGrid(image), [-160, 41, 240])
        XCTAssertEqual(image.shown(contract), [0, 128, 255])
    }

    func testUnpacksEveryLayoutOfBytes() throws {
        func unpack(_ layout: PixelLayout, _ bytes: [UInt8], _ height: Int, _ width: Int) throws -> [UInt8] {
            try layout.rgb(Data(bytes), height: height, width: width)
        }
        let rgb = PixelLayout(bytesPerPixel: 3, bytesPerRow: 8, colors: [0, 1, 2])
        XCTAssertEqual(
            try unpack(rgb, [1, 2, 3, 4, 5, 6, 99, 99, 7, 8, 9, 10, 11, 12], 2, 2), Array(1...12),
            "rows padded but the last")
        let bgra = PixelLayout(bytesPerPixel: 4, bytesPerRow: 4, colors: [2, 1, 0], alpha: 3)
        XCTAssertEqual(try unpack(bgra, [30, 20, 10, 0], 1, 1), [10, 20, 30], "alpha dropped, not multiplied in")
        let grey = PixelLayout(bytesPerPixel: 1, bytesPerRow: 2, colors: [0])
        XCTAssertEqual(try unpack(grey, [5, 6], 1, 2), [5, 5, 5, 6, 6, 6])
        let palette = PixelLayout(bytesPerPixel: 1, bytesPerRow: 2, colors: [0], palette: [1, 2, 3, 7, 8, 9])
        XCTAssertEqual(try unpack(palette, [1, 0], 1, 2), [7, 8, 9, 1, 2, 3])
        assertFails("palette", try unpack(palette, [2, 0], 1, 2))
        assertFails("bytes", try unpack(rgb, [1, 2, 3], 1, 2))
        assertFails("bytes", try unpack(PixelLayout(bytesPerPixel: 1, bytesPerRow: 1, colors: [0, 1, 2]), [1], 1, 1))
    }

    func testPremultipliedPicturesAreTakenOnlyWhereOpaque() throws {
        let layout = PixelLayout(bytesPerPixel: 4, bytesPerRow: 8, colors: [0, 1, 2], alpha: 3, premultiplied: true)
        XCTAssertEqual(
            try layout.rgb(Data([1, 2, 3, 255, 4, 5, 6, 255]), height: 1, width: 2), [1, 2, 3, 4, 5, 6])
        assertFails("transparent", try layout.rgb(Data([1, 2, 3, 255, 4, 5, 6, 254]), height: 1, width: 2))
    }

    func testRefusesHugeAndEmptyPictures() throws {
        assertFails("60000 x 60000 pixels; allowed: 25 megapixels", try Picture.check(height: 60000, width: 60000))
        assertFails("megapixels", try Picture.check(height: .max, width: .max))
        assertFails("empty", try Picture.check(height: 0, width: 5))
        assertFails("5 bytes", try Picture(height: 2, width: 1, rgb: [1, 2, 3, 4, 5]))
        XCTAssertNoThrow(try Picture.check(height: 4284, width: 5712))
    }

    func testRefusesImagesThatTheContractDoesNotCover() throws {
        let contract = try Contract.decode(contractJSON())
        func image(_ shape: String, _ values: [Float]) throws -> SourceImage {
            let bytes = values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init) }
            return try SourceImage(NumpyArray(npy("<f4", shape, bytes), source: "x.npy"), contract: contract)
        }
        assertFails("NaN", try image("(1, 2)", [0, .nan]))
        assertFails("infinite", try image("(1, 2)", [0, -.infinity]))
        assertFails("1 channel(s)", try image("(1, 1, 3)", [1, 2, 3]))
        assertFails("shape [0, 2]", try image("(0, 2)", []))
        assertFails("shape [2]", try image("(2,)", [0, 1]))
        XCTAssertNoThrow(contract.toGrid(try image("(1, 2)", [.greatestFiniteMagnitude, -.greatestFiniteMagnitude])))
        let two = try Contract.decode(
            contractJSON([
                "input": ["height": 1, "width": 1, "channels": 2, "pixel": "uint8"],
                "intensity": ["low": 0, "high": 1, "mean": [0, 0], "std": [1, 1]],
            ]))
        assertFails("2 channels", try SourceImage(picture([[1]]), contract: two))
    }
}
