import Foundation

/// An array of an `.npy` file, version 1. Double holds every value of the types that are allowed.
public struct NumpyArray: Equatable, Sendable {
    public let shape: [Int]
    public let values: [Double]  // row-major

    /// Read the bytes of a file.
    ///
    /// - Throws: `SegmentationError.array`, naming `source`.
    public init(_ data: Data, source: String) throws {
        func require(_ ok: Bool, _ what: String) throws {
            if !ok { throw SegmentationError.array("\(source): \(what)") }
        }
        let bytes = [UInt8](data)
        try require(bytes.count >= 10 && bytes.starts(with: [0x93] + Array("NUMPY".utf8)), "not an .npy file")
        try require(bytes[6] == 1, ".npy version \(bytes[6]); allowed: 1")
        let start = 10 + Int(bytes[8]) + 256 * Int(bytes[9])
        try require(bytes.count >= start, "cut off in its header")
        let header = String(decoding: bytes[10..<start], as: UTF8.self)
        try require(header.firstMatch(of: #/'fortran_order':\s*False/#) != nil, "not in C order")
        guard let type = header.firstMatch(of: #/'descr':\s*'([^']*)'/#).map({ String($0.1) }) else {
            throw SegmentationError.array("\(source): no descr")
        }
        guard let element = Self.elements[type] else {
            let allowed = Self.elements.keys.sorted().joined(separator: " ")
            throw SegmentationError.array("\(source): values of type \(type); allowed: \(allowed)")
        }
        guard let listed = header.firstMatch(of: #/'shape':\s*\(([0-9, ]*)\)/#) else {
            throw SegmentationError.array("\(source): no shape")
        }
        let sizes = listed.1.split(separator: ",").map { Int($0.trimmingCharacters(in: .whitespaces)) }
        shape = sizes.compactMap { $0 }
        // In bytes rather than values, so that a shape which lies cannot ask for memory.
        let size = shape.reduce(Optional(element.size)) { product, next in
            product.flatMap { $0.multipliedReportingOverflow(by: next).overflow ? nil : $0 * next }
        }
        let held = bytes.count - start
        try require(shape.count == sizes.count && size == held, "\(held) bytes of values for shape \(shape)")
        values = bytes.withUnsafeBytes { raw in
            stride(from: start, to: raw.count, by: element.size).map { element.read(raw, $0) }
        }
    }

    /// Read a file.
    public init(contentsOf url: URL) throws {
        let source = url.pathComponents.suffix(2).joined(separator: "/")
        guard let data = try? Data(contentsOf: url) else { throw SegmentationError.array("\(source) cannot be read") }
        try self.init(data, source: source)
    }

    private struct Element {
        let size: Int
        let read: (UnsafeRawBufferPointer, Int) -> Double
    }

    private static func integer<Value: FixedWidthInteger>(_: Value.Type) -> Element {
        Element(size: MemoryLayout<Value>.size) {
            Double(Value(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: Value.self)))
        }
    }

    private static var elements: [String: Element] {
        [
            "|u1": integer(UInt8.self),
            "<i2": integer(Int16.self),
            "<f4": Element(size: 4) {
                let bits = UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt32.self))
                return Double(Float(bitPattern: bits))
            },
            "<f8": Element(size: 8) {
                let bits = UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt64.self))
                return Double(bitPattern: bits)
            },
        ]
    }
}
