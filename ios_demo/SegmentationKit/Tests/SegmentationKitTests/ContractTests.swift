import Foundation
import XCTest

@testable import SegmentationKit

final class ContractTests: XCTestCase {
    func testReads() throws {
        let contract = try Contract.decode(contractJSON())
        XCTAssertEqual(contract.labels[1].color, [220, 40, 40])
        XCTAssertEqual(contract.input.pixel, .int16)
        XCTAssertEqual(try JSONDecoder().decode(Contract.self, from: JSONEncoder().encode(contract)), contract)
    }

    func testRefusesAnotherSchema() throws {
        assertFails("contract.json has schema 2; allowed: 1; next:", try Contract.decode(contractJSON(["schema": 2])))
        assertFails("schema", try Contract.decode(contractJSON(["schema": "one"])))
        assertFails("not a JSON object", try Contract.decode(Data("[1, 2".utf8)))
        assertFails("not a JSON object", try Contract.decode(Data()))
    }

    func testNamesWhatIsMissing() throws {
        let noMean: [String: Any] = ["low": 0, "high": 1, "std": [1]]
        assertFails("no intensity.mean", try Contract.decode(contractJSON(["intensity": noMean])))
        assertFails("labels", try Contract.decode(contractJSON(["labels": "liver"])))
        assertFails("resize.mode", try Contract.decode(contractJSON(["resize": ["mode": "crop"]])))
    }

    func testRefusesWhatCannotBeComputed() throws {
        func input(_ height: Int, _ channels: Int) -> [String: Any] {
            ["input": ["height": height, "width": 48, "channels": channels, "pixel": "uint8"]]
        }
        func intensity(_ low: Double, _ std: [Double]) -> [String: Any] {
            ["intensity": ["low": low, "high": 240, "mean": [0], "std": std]]
        }
        assertFails("size 0x48", try Contract.decode(contractJSON(input(0, 1))))
        assertFails("size 4000000000x48", try Contract.decode(contractJSON(input(4_000_000_000, 1))))
        assertFails("one per channel", try Contract.decode(contractJSON(input(32, 3))))
        assertFails("low < high", try Contract.decode(contractJSON(intensity(240, [1]))))
        assertFails("positive numbers", try Contract.decode(contractJSON(intensity(0, [0]))))
        let one: [String: Any] = ["id": 1, "name": "liver", "color": [1, 2, 3]]
        assertFails("background and 1", try Contract.decode(contractJSON(["labels": [one]])))
        assertFails("in order", try Contract.decode(contractJSON(["labels": [one, one]])))
        let bad: [String: Any] = ["id": 0, "name": "background", "color": [1, 2]]
        assertFails("red, green, blue", try Contract.decode(contractJSON(["labels": [bad, one]])))
    }
}
