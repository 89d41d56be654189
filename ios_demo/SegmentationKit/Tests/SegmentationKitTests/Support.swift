import Foundation
import XCTest

@testable import SegmentationKit

/// Folders that pytest (tests/demos/test_ios.py) names in the environment.
enum Folder: String {
    case vectors = "ACWSKD_VECTORS"  // <name>/{contract.json, image.npy, ...}, see tests/demos/vectors.py
    case outputs = "ACWSKD_OUTPUTS"  // <artefact>/<golden>.npy: what the installed models gave, and expected.json

    func url() throws -> URL {
        guard let path = ProcessInfo.processInfo.environment[rawValue] else {
            throw XCTSkip("\(rawValue) names no folder; run tests/demos/test_ios.py")
        }
        return URL(fileURLWithPath: path)
    }
}

/// The bundle that the app carries, in the tree that this file is in.
let installed = (0..<4).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
    .appendingPathComponent("App/Bundle")

/// A copy of the app's bundle that a test may spoil.
func copyOfBundle() throws -> URL {
    let copy = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.copyItem(at: installed, to: copy)
    return copy
}

func assertFails<Value>(
    _ text: String, file: StaticString = #filePath, line: UInt = #line, _ body: @autoclosure () throws -> Value
) {
    XCTAssertThrowsError(try body(), file: file, line: line) { error in
        guard let error = error as? SegmentationError else {
            return XCTFail("\(error) is no message for a user", file: file, line: line)
        }
        XCTAssertTrue(error.localizedDescription.contains(text), "\(error.message)", file: file, line: line)
    }
}

/// A contract as JSON, its top-level keys replaced.
func contractJSON(_ changes: [String: Any] = [:]) throws -> Data {
    var object: [String: Any] = [
        "schema": 1, "name": "test", "modality": "CT", "intended_use": "tests",
        "input": ["height": 32, "width": 48, "channels": 1, "pixel": "int16"],
        "resize": ["mode": "letterbox"],
        "intensity": ["low": -160, "high": 240, "mean": [40], "std": [123.4]],
        "labels": [
            ["id": 0, "name": "background", "color": [0, 0, 0]], ["id": 1, "name": "liver", "color": [220, 40, 40]],
        ],
    ]
    object.merge(changes) { _, new in new }
    return try JSONSerialization.data(withJSONObject: object)
}

/// An .npy file of version 1.
func npy(_ descr: String, _ shape: String, _ values: [UInt8], fortran: String = "False") -> Data {
    var header = "{'descr': '\(descr)', 'fortran_order': \(fortran), 'shape': \(shape), }"
    header += String(repeating: " ", count: 117 - header.count) + "\n"
    var data = Data([0x93])
    data.append(Data("NUMPY".utf8))
    data.append(contentsOf: [1, 0, UInt8(header.utf8.count), 0])
    data.append(Data(header.utf8))
    data.append(contentsOf: values)
    return data
}

/// Answers what it is told to for each input.
struct Replay: SegmentationModel {
    let answers: [[Float]: [Float]]

    func logits(for input: [Float]) throws -> [Float] {
        guard let answer = answers[input] else { throw SegmentationError.model("an input that was not recorded") }
        return answer
    }
}
