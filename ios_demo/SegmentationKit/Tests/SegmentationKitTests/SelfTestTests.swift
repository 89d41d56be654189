import Foundation
import XCTest

@testable import SegmentationKit

final class SelfTestTests: XCTestCase {
    private struct Expected: Decodable {
        let agreement: Double
        let passed: Bool
    }

    private static let opened = Result { try SealedBundle(at: installed) }

    private func runtime(_ bundle: SealedBundle, exact: Bool = true, _ answer: (Golden) throws -> [Float]) rethrows
        -> Check
    {
        let contract = bundle.contract
        let pairs = try bundle.golden.map { (contract.normalise($0.pixels), try answer($0)) }
        let model = Replay(answers: Dictionary(uniqueKeysWithValues: pairs))
        return SelfTest.runtime(
            model, name: "test", golden: bundle.golden, contract: contract, needed: 1, exact: exact)
    }

    func testThePreprocessingOfThisMachinePasses() throws {
        let bundle = try Self.opened.get()
        let check = SelfTest.preprocessing(bundle.golden, contract: bundle.contract)
        XCTAssertTrue(check.passed, check.detail)
        XCTAssertFalse(SelfTest.preprocessing([], contract: bundle.contract).passed)
    }

    func testAnotherPreprocessingFails() throws {
        let bundle = try Self.opened.get()
        let text = try String(contentsOf: installed.appendingPathComponent("contract.json"), encoding: .utf8)
        let other =
            text.contains("letterbox") ? text.replacingOccurrences(of: "\"letterbox\"", with: "\"stretch\"") : text
        let square = bundle.golden.allSatisfy { $0.image.height == $0.image.width }
        let low = other.replacingOccurrences(of: "\"int16\"", with: "\"uint8\"")
        let contract = try Contract.decode(Data((square ? low : other).utf8))
        let check = SelfTest.preprocessing(bundle.golden, contract: contract)
        XCTAssertFalse(check.passed)
        XCTAssertTrue(check.detail.contains(bundle.golden[0].name), check.detail)
    }

    func testTheCheckpointsOwnLogitsPass() throws {
        let bundle = try Self.opened.get()
        XCTAssertTrue(runtime(bundle) { $0.logits }.passed)
    }

    func testWrongLogitsFail() throws {
        let bundle = try Self.opened.get()
        let shifted = runtime(bundle) { $0.logits.map { $0 + 0.002 } }
        XCTAssertFalse(shifted.passed)
        XCTAssertTrue(shifted.detail.hasPrefix("runtime differs: argmax agreement 1.00000"), shifted.detail)
        XCTAssertTrue(runtime(bundle, exact: false) { $0.logits.map { $0 + 0.002 } }.passed)
        XCTAssertFalse(runtime(bundle, exact: false) { $0.logits.map { -$0 } }.passed)
    }

    func testLogitsThatAreNotNumbersOrTooFewFail() throws {
        let bundle = try Self.opened.get()
        let nan = runtime(bundle, exact: false) { $0.logits.map { $0 > 3 ? .nan : $0 } }
        XCTAssertFalse(nan.passed)
        XCTAssertTrue(nan.detail.contains("not numbers"), nan.detail)
        XCTAssertFalse(runtime(bundle, exact: false) { Array($0.logits.dropLast()) }.passed)
        let silent = SelfTest.runtime(
            Replay(answers: [:]), name: "test", golden: bundle.golden, contract: bundle.contract, needed: 0,
            exact: false)
        XCTAssertEqual(silent, Check(name: "test", passed: false, detail: "an input that was not recorded"))
    }

    /// What the project's own evaluator of Core ML programs computed from the installed packages.
    func testTheInstalledModelsPassAsInPython() throws {
        let outputs = try Folder.outputs.url()
        let bundle = try Self.opened.get()
        let json = try Data(contentsOf: outputs.appendingPathComponent("expected.json"))
        let expected = try JSONDecoder().decode([String: Expected].self, from: json)
        XCTAssertEqual(expected.keys.sorted(), bundle.artefacts.map(\.id).sorted())
        for one in bundle.artefacts {
            let answers = try bundle.golden.map { golden in
                let file = outputs.appendingPathComponent("\(one.id)/\(golden.name).npy")
                return (
                    bundle.contract.normalise(golden.pixels), try NumpyArray(contentsOf: file).values.map(Float.init)
                )
            }
            let check = SelfTest.runtime(
                Replay(answers: Dictionary(uniqueKeysWithValues: answers)), name: one.id, golden: bundle.golden,
                contract: bundle.contract, needed: bundle.measuredAgreement(of: one), exact: one.precision == "fp32")
            XCTAssertEqual(check.passed, expected[one.id]?.passed, check.detail)
            let agreement = String(format: "argmax agreement %.5f ", try XCTUnwrap(expected[one.id]).agreement)
            XCTAssertTrue(check.detail.contains(agreement), "\(one.id): \(check.detail), in Python: \(agreement)")
        }
    }
}
