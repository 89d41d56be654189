import Foundation
import XCTest

@testable import SegmentationKit

/// Every vector of tests/demos/vectors.py, as the Python reference computed it.
final class VectorTests: XCTestCase {
    private struct Vector {
        let name: String
        let contract: Contract
        let image: SourceImage
        let parts: [String: NumpyArray]

        init(_ folder: URL) throws {
            name = folder.lastPathComponent
            contract = try Contract.decode(Data(contentsOf: folder.appendingPathComponent("contract.json")))
            let names = ["image", "pixels", "input", "logits", "probability", "mask", "tint"]
            parts = try Dictionary(
                uniqueKeysWithValues: names.map {
                    ($0, try NumpyArray(contentsOf: folder.appendingPathComponent("\($0).npy")))
                })
            image = try SourceImage(parts["image"]!, contract: contract)
        }

        func values(_ part: String) -> [Double] { parts[part]!.values }
        var logits: [Float] { values("logits").map(Float.init) }
    }

    private static let loaded = Result {
        let root = try Folder.vectors.url()
        let names = try FileManager.default.contentsOfDirectory(atPath: root.path).sorted()
        return try names.map { try Vector(root.appendingPathComponent($0)) }
    }

    private func vectors() throws -> [Vector] {
        let vectors = try Self.loaded.get()
        XCTAssertGreaterThanOrEqual(vectors.count, 8)
        return vectors
    }

    private func assertClose(_ found: [Float], _ wanted: [Double], _ name: String) {
        XCTAssertEqual(found.count, wanted.count, name)
        let error = zip(found, wanted).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
        XCTAssertLessThanOrEqual(error, 1e-6, name)
    }

    func testPixelsAreEqual() throws {
        for one in try vectors() {
            XCTAssertEqual(one.contract.toGrid(one.image).map(Double.init), one.values("pixels"), one.name)
        }
    }

    func testNetworkInputIsEqual() throws {
        for one in try vectors() {
            let found = one.contract.normalise(one.values("pixels").map { Int16($0) })
            let (size, channels) = (one.contract.gridSize, one.contract.input.channels)
            let nhwc = (0..<found.count).map { (at: Int) -> Float in found[at % channels * size + at / channels] }
            assertClose(nhwc, one.values("input"), one.name)
        }
    }

    func testMasksAreEqual() throws {
        for one in try vectors() {
            let grid = try one.contract.mask(of: one.logits)
            let mask = one.contract.toImage(grid, height: one.image.height, width: one.image.width)
            XCTAssertEqual(mask.map(Double.init), one.values("mask"), one.name)
        }
    }

    func testProbabilityIsEqual() throws {
        for one in try vectors() {
            assertClose(one.contract.probability(of: one.logits), one.values("probability"), one.name)
        }
    }

    func testTintIsEqual() throws {
        for one in try vectors() {
            let mask = one.values("mask").map { UInt8($0) }
            let tint = Overlay(one.image, mask: mask, contract: one.contract).tint()
            XCTAssertEqual(tint.map(Double.init), one.values("tint"), one.name)
        }
    }

    func testTheWholeWayIsEqual() throws {
        for one in try vectors() {
            let input = one.contract.normalise(one.values("pixels").map { Int16($0) })
            let model = Replay(answers: [input: one.logits])
            let result = try Segmenter(contract: one.contract, model: model).run(one.image)
            XCTAssertEqual(result.mask.map(Double.init), one.values("mask"), one.name)
            XCTAssertEqual(result.parts.map(\.label), Array(one.contract.labels.dropFirst()), one.name)
            for part in result.parts {
                XCTAssertEqual(part.pixels, result.mask.filter { Int($0) == part.label.id }.count, one.name)
                XCTAssertTrue((0...1).contains(part.probability ?? 0), one.name)
            }
        }
    }
}
