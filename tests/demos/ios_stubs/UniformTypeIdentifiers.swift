public struct UTType: Sendable {
    public static let png = UTType()
    public static let jpeg = UTType()
    public static let heic = UTType()
}
