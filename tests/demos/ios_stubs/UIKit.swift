@_exported import Foundation
@_exported import ImageIO

public class UIImage: @unchecked Sendable {
    public enum Orientation { case up, down, left, right, upMirrored, downMirrored, leftMirrored, rightMirrored }
    public var cgImage: CGImage? { fatalError() }
    public var imageOrientation: Orientation { fatalError() }
}

@MainActor open class UIViewController: NSObject {}
@MainActor public protocol UINavigationControllerDelegate: AnyObject {}
@MainActor public protocol UIImagePickerControllerDelegate: AnyObject {
    func imagePickerController(
        _ picker: UIImagePickerController, didFinishPickingMediaWithInfo info: [UIImagePickerController.InfoKey: Any])
    func imagePickerControllerDidCancel(_ picker: UIImagePickerController)
}

@MainActor public class UIImagePickerController: UIViewController {
    public enum SourceType { case photoLibrary, camera }
    public enum InfoKey { case originalImage }
    public static func isSourceTypeAvailable(_ type: SourceType) -> Bool { fatalError() }
    public var sourceType = SourceType.camera
    public weak var delegate: (any UIImagePickerControllerDelegate & UINavigationControllerDelegate)?
}

extension ProcessInfo {
    public enum ThermalState { case nominal, fair, serious, critical }
    public var thermalState: ThermalState { fatalError() }
}

extension URL {
    public func startAccessingSecurityScopedResource() -> Bool { fatalError() }
    public func stopAccessingSecurityScopedResource() { fatalError() }
}

extension String {
    public struct LocalizationValue: ExpressibleByStringInterpolation {
        public init(stringLiteral value: String) {}
    }
    public init(localized: LocalizationValue) { fatalError() }
}
