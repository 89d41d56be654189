import Foundation

/// A model that the bundle carries.
public struct Artefact: Codable, Equatable, Hashable, Identifiable, Sendable {
    public let target: String
    public let precision: String
    public let io: String
    public let path: String  // relative to the bundle

    public var id: String { "\(target)-\(precision)" + (io == "raw" ? "-raw" : "") }
}

/// One slice followed through the checkpoint.
public struct Golden: Sendable {
    public let name: String
    public let image: SourceImage
    public let pixels: [Int16]  // (h, w, C)
    public let logits: [Float]  // (K, h, w)
    public let mask: [UInt8]  // (H, W)

    /// - Throws: `SegmentationError.array`: a file is malformed or of another shape than the contract's.
    public init(folder: URL, contract: Contract) throws {
        let name = folder.lastPathComponent
        func load(_ part: String, _ shape: [Int]?) throws -> NumpyArray {
            let array = try NumpyArray(contentsOf: folder.appendingPathComponent("\(part).npy"))
            if let shape, array.shape != shape {
                throw SegmentationError.array("\(name)/\(part).npy has shape \(array.shape); allowed: \(shape)")
            }
            return array
        }
        let input = contract.input
        self.name = name
        image = try SourceImage(load("image", nil), contract: contract)
        pixels = try load("pixels", [input.height, input.width, input.channels]).values.map { Int16(clamping: Int($0)) }
        logits = try load("logits", [1, contract.classes, input.height, input.width]).values.map(Float.init)
        mask = try load("mask", [image.height, image.width]).values.map { UInt8(clamping: Int($0)) }
    }
}

/// The folder that `python -m convert ... --install ios_demo` wrote: nothing in it is used before its hash is checked.
public struct SealedBundle: Sendable {
    public static let schema = 1

    public let root: URL
    public let contract: Contract
    public let artefacts: [Artefact]
    public let golden: [Golden]
    private let report: Report

    private struct Manifest: Decodable {
        let artefacts: [Artefact]
        let files: [String: String]
    }

    private struct Report: Decodable {
        struct Entry: Decodable {
            struct Agreement: Decodable {
                let argmax_agreement: Double
            }

            let id: String
            let golden: Agreement
            let dice: [String: Double?]
        }

        let artefacts: [Entry]
    }

    /// Open a bundle.
    ///
    /// - Throws: `SegmentationError`: no bundle, another schema, or a file that is missing, added, changed or malformed;
    ///   names it.
    public init(at root: URL) throws {
        func read(_ name: String) throws -> Data {
            guard let data = try? Data(contentsOf: root.appendingPathComponent(name)) else {
                throw SegmentationError.bundle(
                    "no \(name) in the app's Bundle folder; next: python -m convert RUN --target coreml --install "
                        + "ios_demo")
            }
            return data
        }
        let manifest = try decodeJSON(
            Manifest.self, from: read("manifest.json"), source: "manifest.json", schema: Self.schema
        ) { .bundle($0) }
        // Another schema is a clearer message than "was changed", and a contract is only data.
        let contract = try Contract.decode(read("contract.json"))
        try Self.check(root, manifest)
        let report = try decodeJSON(
            Report.self, from: read("report.json"), source: "report.json", schema: nil
        ) { .bundle($0) }
        for one in manifest.artefacts where !report.artefacts.contains(where: { $0.id == one.id }) {
            throw SegmentationError.bundle("report.json says nothing about \(one.id); convert again")
        }
        let folders = manifest.files.keys.filter { $0.hasPrefix("golden/") }.map { $0.split(separator: "/")[1] }
        let names = Set(folders).sorted()
        guard !names.isEmpty else { throw SegmentationError.bundle("the bundle has no golden vectors; convert again") }
        self.root = root
        self.contract = contract
        self.report = report
        artefacts = manifest.artefacts.filter { $0.target == "coreml" && $0.io == "tensor" }
        golden = try names.map {
            try Golden(folder: root.appendingPathComponent("golden/\($0)"), contract: contract)
        }
        if artefacts.isEmpty {
            throw SegmentationError.bundle(
                "no Core ML model in the bundle; next: convert with --target coreml --install ios_demo")
        }
    }

    public func url(of artefact: Artefact) -> URL { root.appendingPathComponent(artefact.path) }

    /// Argmax agreement with the checkpoint over the golden vectors that was measured when the artefact was made.
    public func measuredAgreement(of artefact: Artefact) -> Double {
        report.artefacts.first { $0.id == artefact.id }?.golden.argmax_agreement ?? 1
    }

    /// Mean Dice of the artefact on validation cases, as the report says.
    public func dice(of artefact: Artefact) -> Double? {
        report.artefacts.first { $0.id == artefact.id }?.dice["mean"] ?? nil
    }

    private static func check(_ root: URL, _ manifest: Manifest) throws {
        let present = try Set(files(below: root).filter { $0 != "manifest.json" })
        let sealed = Set(manifest.files.keys)
        var trouble = sealed.subtracting(present).sorted().map { "\($0) is missing" }
        trouble += present.subtracting(sealed).sorted().map { "\($0) was added" }
        for name in present.intersection(sealed).sorted() {
            let data = try? Data(contentsOf: root.appendingPathComponent(name), options: .mappedIfSafe)
            if data.map(sha256) != manifest.files[name] { trouble.append("\(name) was changed") }
        }
        trouble += ["contract.json", "report.json"].filter { !sealed.contains($0) }.map { "\($0) is not sealed" }
        for one in manifest.artefacts where !sealed.contains(where: { $0 == one.path || $0.hasPrefix(one.path + "/") })
        {
            trouble.append("artefact \(one.id) is missing")
        }
        guard trouble.isEmpty else {
            let more = trouble.count > 3 ? " and \(trouble.count - 3) more" : ""
            throw SegmentationError.bundle(
                "the bundle was tampered with: \(trouble.prefix(3).joined(separator: ", "))\(more); next: convert again"
            )
        }
    }

    private static func files(below root: URL) throws -> [String] {
        let paths = try FileManager.default.subpathsOfDirectory(atPath: root.path)
        return paths.filter { path in
            var folder: ObjCBool = false
            let whole = root.appendingPathComponent(path).path
            return FileManager.default.fileExists(atPath: whole, isDirectory: &folder) && !folder.boolValue
        }
    }
}
