import Foundation

/// How to feed the network and read its output: `contract.json`, schema 1. docs/contract.md has the rules.
public struct Contract: Codable, Equatable, Sendable {
    public static let schema = 1

    public enum Pixel: String, Codable, Sendable {
        case uint8, int16

        /// The values that a pixel on the network's grid can have.
        public var limits: ClosedRange<Double> { self == .uint8 ? 0...255 : -32768...32767 }
    }

    public struct Input: Codable, Equatable, Sendable {
        public let height: Int  // of the network's grid, pixels
        public let width: Int
        public let channels: Int
        public let pixel: Pixel
    }

    public struct Resize: Codable, Equatable, Sendable {
        public enum Mode: String, Codable, Sendable {
            case letterbox, stretch
        }

        public let mode: Mode
    }

    /// x -> (clip(x, low, high) - mean) / std, per channel; `low` also fills what letterboxing adds.
    public struct Intensity: Codable, Equatable, Sendable {
        public let low: Double  // HU for CT, pixel value otherwise
        public let high: Double
        public let mean: [Double]
        public let std: [Double]
    }

    /// One class: `id` is its value in a mask, `color` its red, green, blue on screen.
    public struct Label: Codable, Equatable, Sendable {
        public let id: Int
        public let name: String
        public let color: [UInt8]
    }

    public let name: String
    public let modality: String
    public let input: Input
    public let resize: Resize
    public let intensity: Intensity
    public let labels: [Label]  // ids 0, 1, 2 ...; the logits' channel k is label k
    public let intendedUse: String

    enum CodingKeys: String, CodingKey {
        case name, modality, input, resize, intensity, labels
        case intendedUse = "intended_use"
    }

    public var classes: Int { labels.count }

    /// Pixels of the network's grid.
    public var gridSize: Int { input.height * input.width }

    /// Read `contract.json`.
    ///
    /// - Throws: `SegmentationError.contract`: another schema, a missing key, or a value outside what is allowed.
    public static func decode(_ data: Data, source: String = "contract.json") throws -> Contract {
        let contract = try decodeJSON(Contract.self, from: data, source: source, schema: schema) { .contract($0) }
        try contract.check(source)
        return contract
    }

    private func check(_ source: String) throws {
        func require(_ ok: Bool, _ what: String, _ allowed: String) throws {
            if !ok { throw SegmentationError.contract("\(source): \(what); allowed: \(allowed)") }
        }
        // The upper bounds keep a broken file from asking for more memory than a phone has.
        let sizes = (1...4096).contains(input.height) && (1...4096).contains(input.width)
        try require(sizes, "size \(input.height)x\(input.width)", "1 to 4096")
        try require((1...16).contains(input.channels), "\(input.channels) channels", "1 to 16")
        try require((2...256).contains(classes), "\(classes) label(s)", "background and 1 to 255 classes")
        try require(labels.map(\.id) == Array(0..<classes), "label ids \(labels.map(\.id))", "0, 1, 2 ... in order")
        try require(labels.allSatisfy { $0.color.count == 3 }, "a color", "red, green, blue")
        try require(intensity.low < intensity.high, "range \(intensity.low) to \(intensity.high)", "low < high")
        let counts = [intensity.mean.count, intensity.std.count]
        try require(counts == [input.channels, input.channels], "\(counts) means and stds", "one per channel")
        try require(intensity.std.allSatisfy { $0 > 0 }, "std \(intensity.std)", "positive numbers")
    }
}
