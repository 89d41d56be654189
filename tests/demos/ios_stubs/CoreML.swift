import Foundation

public enum MLComputeUnits { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }
public enum MLMultiArrayDataType { case double, float32, float16, int32 }
public enum MLFeatureType { case invalid, int64, double, string, image, multiArray, dictionary, sequence }
public protocol MLShapedArrayScalar {}
extension Float: MLShapedArrayScalar {}

public class MLMultiArray {
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws { fatalError() }
    public var dataType: MLMultiArrayDataType { fatalError() }
    public var shape: [NSNumber] { fatalError() }
    public var strides: [NSNumber] { fatalError() }
    public func withUnsafeBufferPointer<S: MLShapedArrayScalar, R>(
        ofType: S.Type, _ body: (UnsafeBufferPointer<S>) throws -> R
    ) rethrows -> R { fatalError() }
    public func withUnsafeMutableBufferPointer<S: MLShapedArrayScalar, R>(
        ofType: S.Type, _ body: (UnsafeMutableBufferPointer<S>, [Int]) throws -> R
    ) rethrows -> R { fatalError() }
}

public class MLFeatureValue {
    public init(multiArray: MLMultiArray) { fatalError() }
    public var multiArrayValue: MLMultiArray? { fatalError() }
}

public protocol MLFeatureProvider {
    func featureValue(for name: String) -> MLFeatureValue?
}

public class MLDictionaryFeatureProvider: MLFeatureProvider {
    public init(dictionary: [String: Any]) throws { fatalError() }
    public func featureValue(for name: String) -> MLFeatureValue? { fatalError() }
}

public class MLMultiArrayConstraint {
    public var shape: [NSNumber] { fatalError() }
    public var dataType: MLMultiArrayDataType { fatalError() }
}

public class MLFeatureDescription {
    public var type: MLFeatureType { fatalError() }
    public var multiArrayConstraint: MLMultiArrayConstraint? { fatalError() }
}

public class MLModelDescription {
    public var inputDescriptionsByName: [String: MLFeatureDescription] { fatalError() }
    public var outputDescriptionsByName: [String: MLFeatureDescription] { fatalError() }
}

public class MLModelConfiguration {
    public init() {}
    public var computeUnits = MLComputeUnits.all
}

public class MLModel {
    public var modelDescription: MLModelDescription { fatalError() }
    public static func load(contentsOf url: URL, configuration: MLModelConfiguration) async throws -> MLModel {
        fatalError()
    }
    public static func compileModel(at url: URL) async throws -> URL { fatalError() }
    public func prediction(from: any MLFeatureProvider) throws -> any MLFeatureProvider { fatalError() }
}
