@_exported import Observation
@_exported import UIKit
@_exported import UniformTypeIdentifiers

@MainActor @preconcurrency public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}
extension Never: View { public var body: Never { fatalError() } }
public struct EmptyView: View {
    nonisolated public init() {}
    public var body: Never { fatalError() }
}
extension Optional: View where Wrapped: View { public var body: Never { fatalError() } }
public struct Either<A: View, B: View>: View { public var body: Never { fatalError() } }
public struct Tuple<each V: View>: View { public var body: Never { fatalError() } }

@resultBuilder public enum ViewBuilder {
    public static func buildBlock() -> EmptyView { fatalError() }
    public static func buildBlock<V: View>(_ view: V) -> V { view }
    public static func buildBlock<each V: View>(_ views: repeat each V) -> Tuple<repeat each V> { fatalError() }
    public static func buildExpression<V: View>(_ view: V) -> V { view }
    public static func buildIf<V: View>(_ view: V?) -> V? { view }
    public static func buildEither<A: View, B: View>(first: A) -> Either<A, B> { fatalError() }
    public static func buildEither<A: View, B: View>(second: B) -> Either<A, B> { fatalError() }
}

@MainActor public protocol Scene {}
@MainActor public protocol App {
    associatedtype Body: Scene
    init()
    var body: Body { get }
}
extension App { public static func main() {} }
public struct WindowGroup<Content: View>: Scene { public init(@ViewBuilder content: () -> Content) {} }

@propertyWrapper public struct State<Value> {
    public init(wrappedValue: Value) { fatalError() }
    public var wrappedValue: Value { get { fatalError() } nonmutating set {} }
    public var projectedValue: Binding<Value> { fatalError() }
}
extension State where Value: ExpressibleByNilLiteral { public init() { fatalError() } }
@propertyWrapper @dynamicMemberLookup public struct Binding<Value> {
    public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) {}
    public var wrappedValue: Value { get { fatalError() } nonmutating set {} }
    public var projectedValue: Self { self }
    public subscript<T>(dynamicMember path: WritableKeyPath<Value, T>) -> Binding<T> { fatalError() }
}
@propertyWrapper @dynamicMemberLookup public struct Bindable<Value: AnyObject> {
    public init(wrappedValue: Value) { fatalError() }
    public var wrappedValue: Value { fatalError() }
    public var projectedValue: Self { self }
    public subscript<T>(dynamicMember path: ReferenceWritableKeyPath<Value, T>) -> Binding<T> { fatalError() }
}
public struct DismissAction { public func callAsFunction() {} }
public struct EnvironmentValues { public var dismiss: DismissAction { fatalError() } }
@propertyWrapper public struct Environment<Value> {
    public init(_ path: KeyPath<EnvironmentValues, Value>) { fatalError() }
    public var wrappedValue: Value { fatalError() }
}

@MainActor public protocol UIViewControllerRepresentable: View where Body == Never {
    associatedtype UIViewControllerType: UIViewController
    associatedtype Coordinator
    typealias Context = UIViewControllerRepresentableContext<Self>
    func makeUIViewController(context: Context) -> UIViewControllerType
    func updateUIViewController(_ controller: UIViewControllerType, context: Context)
    func makeCoordinator() -> Coordinator
}
extension UIViewControllerRepresentable { public var body: Never { fatalError() } }
@MainActor public struct UIViewControllerRepresentableContext<R: UIViewControllerRepresentable> {
    public var coordinator: R.Coordinator { fatalError() }
}

public struct LocalizedStringKey: ExpressibleByStringInterpolation {
    public struct StringInterpolation: StringInterpolationProtocol {
        public init(literalCapacity: Int, interpolationCount: Int) {}
        public mutating func appendLiteral(_ literal: String) {}
        public mutating func appendInterpolation(_ value: String) {}
        public mutating func appendInterpolation(_ value: Int) {}
        public mutating func appendInterpolation<F: FormatStyle>(_ value: F.FormatInput, format: F)
        where F.FormatOutput == String {}
    }
    public init(stringLiteral value: String) {}
    public init(stringInterpolation: StringInterpolation) {}
}
public struct Font { public static let footnote = Font() }
public struct Color: View {
    public enum RGBColorSpace { case sRGB }
    public static let red = Color(.sRGB, red: 1, green: 0, blue: 0)
    public static let white = Color.red
    public static let primary = Color.red
    nonisolated public init(_ space: RGBColorSpace, red: Double, green: Double, blue: Double, opacity: Double = 1) {}
    public var body: Never { fatalError() }
}
public struct Text: View {
    public init(_ key: LocalizedStringKey) {}
    @_disfavoredOverload public init<S: StringProtocol>(_ text: S) {}
    public init<F: FormatStyle>(_ value: F.FormatInput, format: F) where F.FormatOutput == String {}
    public func bold() -> Text { self }
    public var body: Never { fatalError() }
}
public enum Interpolation { case none, low }
public struct Image: View {
    public init(systemName: String) {}
    public init(_ image: CGImage, scale: Double, label: Text) {}
    public func resizable() -> Image { self }
    public func interpolation(_ kind: Interpolation) -> Image { self }
    public var body: Never { fatalError() }
}
public struct RoundedRectangle: View {
    public init(cornerRadius: Double) {}
    public func fill(_ color: Color) -> some View { self }
    public var body: Never { fatalError() }
}
public struct Label<Title: View, Icon: View>: View {
    public init(@ViewBuilder title: () -> Title, @ViewBuilder icon: () -> Icon) {}
    public var body: Never { fatalError() }
}
extension Label where Title == Text, Icon == Image { public init(_ key: LocalizedStringKey, systemImage: String) {} }
public struct ButtonRole { public static let cancel = ButtonRole() }
public struct Button: View {
    public init(_ key: LocalizedStringKey, role: ButtonRole? = nil, action: @escaping @MainActor () -> Void) {}
    public init(_ key: LocalizedStringKey, systemImage: String, action: @escaping @MainActor () -> Void) {}
    public var body: Never { fatalError() }
}
public struct LabeledContent<L: View, C: View>: View { public var body: Never { fatalError() } }
extension LabeledContent {
    public init(@ViewBuilder content: () -> C, @ViewBuilder label: () -> L) {}
}
extension LabeledContent where L == Text {
    public init(_ key: LocalizedStringKey, @ViewBuilder content: () -> C) {}
}
extension LabeledContent where L == Text, C == Text {
    public init<S: StringProtocol>(_ key: LocalizedStringKey, value: S) {}
    public init<F: FormatStyle>(_ key: LocalizedStringKey, value: F.FormatInput, format: F)
    where F.FormatOutput == String {}
}
public struct Section<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public init(_ key: LocalizedStringKey, @ViewBuilder content: () -> Content) {}
    @_disfavoredOverload public init<S: StringProtocol>(_ title: S, @ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}
public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: View {
    public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
    public var body: Never { fatalError() }
}
extension ForEach where Data.Element: Identifiable, ID == Data.Element.ID {
    public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
}
public struct Picker<Value: Hashable, Content: View>: View {
    public init(_ key: LocalizedStringKey, selection: Binding<Value>, @ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}
public struct Slider<L: View>: View {
    public init(value: Binding<Double>, in range: ClosedRange<Double>, @ViewBuilder label: () -> L) {}
    public var body: Never { fatalError() }
}
public struct ProgressView: View {
    public init() {}
    public init(_ key: LocalizedStringKey) {}
    public var body: Never { fatalError() }
}
public struct Spacer: View {
    public init() {}
    public var body: Never { fatalError() }
}
public struct List<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}
public struct NavigationStack<Content: View>: View {
    public init(@ViewBuilder root: () -> Content) {}
    public var body: Never { fatalError() }
}
public enum HorizontalAlignment { case leading, center, trailing }
public enum Alignment { case leading, center, trailing }
public struct VStack<Content: View>: View {
    public init(alignment: HorizontalAlignment = .center, @ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}
public struct HStack<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}
public struct Grid<Content: View>: View {
    public init(alignment: Alignment = .center, @ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}
public struct GridRow<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}
public enum AccessibilityChildBehavior { case ignore, contain, combine }
public enum AccessibilityTraits { case isHeader }

extension View {
    public func navigationTitle(_ key: LocalizedStringKey) -> some View { self }
    public func overlay<V: View>(@ViewBuilder content: () -> V) -> some View { self }
    public func alert<A: View, M: View>(
        _ key: LocalizedStringKey, isPresented: Binding<Bool>, @ViewBuilder actions: () -> A, @ViewBuilder message: () -> M
    ) -> some View { self }
    public func sheet<V: View>(isPresented: Binding<Bool>, @ViewBuilder content: @escaping () -> V) -> some View { self }
    public func fileImporter(
        isPresented: Binding<Bool>, allowedContentTypes: [UTType],
        onCompletion: @escaping @MainActor (Result<URL, any Error>) -> Void
    ) -> some View { self }
    public func task(_ action: @escaping @Sendable @MainActor () async -> Void) -> some View { self }
    public func task<T: Equatable>(id: T, _ action: @escaping @Sendable @MainActor () async -> Void) -> some View { self }
    public func onChange<V: Equatable>(of value: V, _ action: @escaping @MainActor () -> Void) -> some View { self }
    public func ignoresSafeArea() -> some View { self }
    public func disabled(_ off: Bool) -> some View { self }
    public func font(_ font: Font?) -> some View { self }
    public func bold() -> some View { self }
    public func monospacedDigit() -> some View { self }
    public func foregroundStyle(_ color: Color) -> some View { self }
    public func listRowBackground<V: View>(_ view: V?) -> some View { self }
    public func frame(width: Double?, height: Double?) -> some View { self }
    public func opacity(_ value: Double) -> some View { self }
    public func scaledToFit() -> some View { self }
    public func gridColumnAlignment(_ guide: HorizontalAlignment) -> some View { self }
    public func tag<V: Hashable>(_ tag: V) -> some View { self }
    public func accessibilityElement(children: AccessibilityChildBehavior) -> some View { self }
    public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { self }
}
