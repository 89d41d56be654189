import Foundation

// Core ML pads the rows of some arrays: their values lie where the strides say, not one after the other.

/// The values of a strided array in row-major order.
///
/// - Throws: `SegmentationError.array`: shape and strides do not fit each other or the buffer.
public func contiguous(_ buffer: UnsafeBufferPointer<Float>, shape: [Int], strides: [Int]) throws -> [Float] {
    try places(shape: shape, strides: strides, within: buffer.count).map { buffer[$0] }
}

/// Write row-major values into a strided array.
///
/// - Throws: `SegmentationError.array`: values, shape, strides and buffer do not fit each other.
public func scatter(
    _ values: [Float], into buffer: UnsafeMutableBufferPointer<Float>, shape: [Int], strides: [Int]
) throws {
    let targets = try places(shape: shape, strides: strides, within: buffer.count)
    guard targets.count == values.count else {
        throw SegmentationError.array("\(values.count) values for an array of shape \(shape)")
    }
    for (value, place) in zip(values, targets) { buffer[place] = value }
}

private func places(shape: [Int], strides: [Int], within count: Int) throws -> [Int] {
    let last = zip(shape, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
    guard !shape.isEmpty, shape.count == strides.count, shape.allSatisfy({ $0 > 0 }),
        strides.allSatisfy({ $0 >= 0 }), last < count
    else {
        throw SegmentationError.array("an array of shape \(shape), strides \(strides) and \(count) values")
    }
    var places = [0]
    for (size, step) in zip(shape, strides) {
        places = places.flatMap { (start: Int) -> [Int] in (0..<size).map { start + $0 * step } }
    }
    return places
}
