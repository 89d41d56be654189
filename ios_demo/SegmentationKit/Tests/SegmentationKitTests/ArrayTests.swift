import Foundation
import XCTest

@testable import SegmentationKit

final class ArrayTests: XCTestCase {
    private func read(_ data: Data) throws -> NumpyArray { try NumpyArray(data, source: "x.npy") }

    func testReadsEveryTypeAllowed() throws {
        XCTAssertEqual(try read(npy("|u1", "(2,)", [1, 255])).values, [1, 255])
        XCTAssertEqual(try read(npy("<i2", "(1, 2)", [0xff, 0xff, 1, 2])).values, [-1, 513])
        XCTAssertEqual(try read(npy("<f4", "(1,)", [0, 0, 0x80, 0x3f])).values, [1])
        XCTAssertEqual(try read(npy("<f8", "()", [0, 0, 0, 0, 0, 0, 0xf0, 0xbf])).values, [-1])
        XCTAssertEqual(try read(npy("|u1", "(3, 0)", [])).shape, [3, 0])
    }

    func testRefusesMalformedFiles() {
        assertFails("x.npy: not an .npy file", try read(Data()))
        assertFails("not an .npy file", try read(Data(repeating: 7, count: 200)))
        assertFails("cut off", try read(npy("|u1", "(2,)", [1, 2]).prefix(40)))
        assertFails("1 bytes of values", try read(npy("|u1", "(2,)", [1])))
        assertFails("3 bytes of values", try read(npy("<i2", "(1,)", [1, 2, 3])))
        assertFails("bytes of values", try read(npy("|u1", "(9999999999, 9999999999, 9999999999)", [1])))
        assertFails("bytes of values", try read(npy("|u1", "(99999999999999999999999,)", [1])))
        assertFails("no shape", try read(npy("|u1", "(-1,)", [1])))
        assertFails("values of type |O", try read(npy("|O", "(1,)", [1])))
        assertFails("not in C order", try read(npy("|u1", "(1,)", [1], fortran: "True")))
        var version2 = npy("|u1", "(1,)", [1])
        version2[6] = 2
        assertFails("version 2", try read(version2))
        assertFails("cannot be read", try NumpyArray(contentsOf: URL(fileURLWithPath: "/nowhere/x.npy")))
    }

    func testStridesAreRespected() throws {
        let padded: [Float] = [0, 1, 2, -1, 3, 4, 5, -1]  // rows of three, padded to four
        try padded.withUnsafeBufferPointer { buffer in
            XCTAssertEqual(try contiguous(buffer, shape: [1, 2, 3], strides: [8, 4, 1]), [0, 1, 2, 3, 4, 5])
            XCTAssertEqual(try contiguous(buffer, shape: [3, 2], strides: [1, 4]), [0, 3, 1, 4, 2, 5])
            XCTAssertEqual(try contiguous(buffer, shape: [2, 4], strides: [4, 1]), padded)
            assertFails("strides", try contiguous(buffer, shape: [2, 3], strides: [8, 1]))
            assertFails("strides", try contiguous(buffer, shape: [2, 3], strides: [3]))
        }
        var written = [Float](repeating: -1, count: 8)
        try written.withUnsafeMutableBufferPointer { buffer in
            try scatter([0, 1, 2, 3, 4, 5], into: buffer, shape: [1, 2, 3], strides: [8, 4, 1])
            assertFails("5 values", try scatter([0, 1, 2, 3, 4], into: buffer, shape: [2, 3], strides: [4, 1]))
        }
        XCTAssertEqual(written, padded)
    }

    func testPercentilesAreNumpys() throws {
        let found = try XCTUnwrap(Percentiles([4, 1, 3, 2]))
        XCTAssertEqual(found.median, 2.5)
        XCTAssertEqual(found.p90, 3.7, accuracy: 1e-12)
        XCTAssertNil(Percentiles([]))
    }
}
