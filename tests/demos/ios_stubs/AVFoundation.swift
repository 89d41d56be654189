public struct AVMediaType: Sendable { public static let video = AVMediaType() }
public class AVCaptureDevice {
    public static func requestAccess(for type: AVMediaType) async -> Bool { fatalError() }
}
