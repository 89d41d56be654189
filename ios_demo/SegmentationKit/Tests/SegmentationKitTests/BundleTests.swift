import Foundation
import XCTest

@testable import SegmentationKit

/// The bundle that the app carries, whole and spoiled.
final class BundleTests: XCTestCase {
    private var copy: URL!

    override func setUpWithError() throws { copy = try copyOfBundle() }
    override func tearDownWithError() throws { try FileManager.default.removeItem(at: copy) }

    private func rewrite(_ name: String, _ old: String, _ new: String) throws {
        let url = copy.appendingPathComponent(name)
        let text = try String(contentsOf: url, encoding: .utf8)
        XCTAssertTrue(text.contains(old))
        try text.replacingOccurrences(of: old, with: new).write(to: url, atomically: false, encoding: .utf8)
    }

    func testOpensWhatTheAppCarries() throws {
        let bundle = try SealedBundle(at: installed)
        XCTAssertFalse(bundle.artefacts.isEmpty)
        XCTAssertFalse(bundle.golden.isEmpty)
        for one in bundle.artefacts {
            XCTAssertTrue((0.9...1).contains(bundle.measuredAgreement(of: one)), one.id)
            XCTAssertTrue(FileManager.default.fileExists(atPath: bundle.url(of: one).path), one.id)
        }
    }

    func testRefusesAnotherSchema() throws {
        try rewrite("contract.json", "\"schema\": 1", "\"schema\": 2")
        assertFails("contract.json has schema 2; allowed: 1", try SealedBundle(at: copy))
        try rewrite("manifest.json", "\"schema\": 1", "\"schema\": 7")
        assertFails("manifest.json has schema 7; allowed: 1", try SealedBundle(at: copy))
    }

    func testRefusesAChangedModel() throws {
        let package = try XCTUnwrap(SealedBundle(at: copy).artefacts.first).path
        let name = package + "/Data/com.apple.CoreML/weights/weight.bin"
        let url = copy.appendingPathComponent(name)
        var data = try Data(contentsOf: url)
        data[data.count / 2] ^= 1
        try data.write(to: url)
        assertFails("tampered with: \(name) was changed", try SealedBundle(at: copy))
        try FileManager.default.removeItem(at: url)
        assertFails("\(name) is missing", try SealedBundle(at: copy))
    }

    func testRefusesAnAddedFileAndAnAbsentBundle() throws {
        try Data().write(to: copy.appendingPathComponent("coreml/.hidden"))
        assertFails("coreml/.hidden was added", try SealedBundle(at: copy))
        assertFails("no manifest.json", try SealedBundle(at: copy.appendingPathComponent("nowhere")))
    }

    func testRefusesAnArtefactOutsideTheBundle() throws {
        let path = try XCTUnwrap(SealedBundle(at: copy).artefacts.first).path
        try rewrite("manifest.json", "\"path\": \"\(path)\"", "\"path\": \"../elsewhere\"")
        assertFails("is missing", try SealedBundle(at: copy))
    }

    func testSHA256IsTheStandards() throws {
        func hex(_ data: Data) -> String { portableSHA256(data).map { String(format: "%02x", $0) }.joined() }
        XCTAssertEqual(hex(Data()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        XCTAssertEqual(hex(Data("abc".utf8)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let long = Data(repeating: UInt8(ascii: "a"), count: 1_000_000)
        XCTAssertEqual(hex(long), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        for data in (0..<200).map({ Data(repeating: 7, count: $0) }) { XCTAssertEqual(hex(data), sha256(data)) }
    }
}
