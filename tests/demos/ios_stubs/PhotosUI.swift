import SwiftUI

public struct PHPickerFilter { public static let images = PHPickerFilter() }
public struct PhotosPickerItem: Hashable, Sendable {
    public enum EncodingDisambiguationPolicy { case automatic, current, compatible }
    public func loadTransferable<T>(type: T.Type) async throws -> T? { fatalError() }
}
public struct PhotosPicker<Label: View>: View {
    public init(
        selection: Binding<PhotosPickerItem?>, matching: PHPickerFilter? = nil,
        preferredItemEncoding: PhotosPickerItem.EncodingDisambiguationPolicy = .automatic,
        @ViewBuilder label: () -> Label
    ) { fatalError() }
    public var body: some View { EmptyView() }
}
