import CoreML
import Foundation
import SegmentationKit

/// A Core ML program of the bundle: float32 `image` (1, C, h, w) in, float32 `logits` (1, K, h, w) out.
final class CoreMLModel: SegmentationModel {
    private let model: MLModel
    private let inputShape: [Int]
    private let outputShape: [Int]

    /// - Throws: `SegmentationError.model`: the program takes or gives something else than the contract says.
    init(_ model: MLModel, contract: Contract) throws {
        let input = contract.input
        self.model = model
        inputShape = [1, input.channels, input.height, input.width]
        outputShape = [1, contract.classes, input.height, input.width]
        let image = model.modelDescription.inputDescriptionsByName["image"]?.multiArrayConstraint
        guard let image, image.dataType == .float32, image.shape.map(\.intValue) == inputShape else {
            throw SegmentationError.model("the model does not take an image of shape \(inputShape), float32")
        }
        guard model.modelDescription.outputDescriptionsByName["logits"]?.type == .multiArray else {
            throw SegmentationError.model("the model has no output named logits")
        }
    }

    func logits(for input: [Float]) throws -> [Float] {
        let image = try MLMultiArray(shape: inputShape.map { NSNumber(value: $0) }, dataType: .float32)
        try image.withUnsafeMutableBufferPointer(ofType: Float.self) { buffer, strides in
            try scatter(input, into: buffer, shape: inputShape, strides: strides)
        }
        let features = try MLDictionaryFeatureProvider(dictionary: ["image": MLFeatureValue(multiArray: image)])
        guard let output = try model.prediction(from: features).featureValue(for: "logits")?.multiArrayValue,
            output.dataType == .float32, output.shape.map(\.intValue) == outputShape
        else {
            throw SegmentationError.model("the model did not give logits of shape \(outputShape), float32")
        }
        return try output.withUnsafeBufferPointer(ofType: Float.self) { buffer in
            try contiguous(buffer, shape: outputShape, strides: output.strides.map(\.intValue))
        }
    }
}
