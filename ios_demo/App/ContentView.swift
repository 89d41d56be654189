import PhotosUI
import SwiftUI
import UniformTypeIdentifiers

/// One screen: verdict, picture, what is in it, how long it took.
struct ContentView: View {
    @Bindable var demo: Demo
    @State private var photo: PhotosPickerItem?
    @State private var choosesFile = false
    @State private var takesPicture = false

    var body: some View {
        NavigationStack {
            List {
                VerdictSection(demo: demo)
                if demo.engine != nil {
                    sources
                    ResultSection(demo: demo)
                    ModelSection(demo: demo)
                    LatencySection(demo: demo)
                    AboutSection(demo: demo)
                }
            }
            .navigationTitle("ACW-SKD demo")
            .overlay { if demo.engine == nil && demo.refusal == nil { ProgressView("Checking the model") } }
        }
        .alert("This did not work", isPresented: hasMessage) {
            Button("OK", role: .cancel) {}
        } message: {
            Text(demo.message ?? "")
        }
        .sheet(isPresented: $takesPicture) {
            CameraPicker { image in Task { await demo.show(String(localized: "Camera"), image) } }
                .ignoresSafeArea()
        }
        .fileImporter(isPresented: $choosesFile, allowedContentTypes: [.png, .jpeg, .heic]) { chosen in
            switch chosen {
            case .success(let file): Task { await demo.show(file) }
            case .failure(let error): demo.message = error.localizedDescription
            }
        }
        .task(id: photo) { await load() }
    }

    private var sources: some View {
        Section("Picture") {
            PhotosPicker(selection: $photo, matching: .images, preferredItemEncoding: .current) {
                Label("Photo library", systemImage: "photo")
            }
            Button("Camera", systemImage: "camera") { Task { await camera() } }
            Button("File", systemImage: "folder") { choosesFile = true }
            ForEach(demo.engine?.bundle.golden ?? [], id: \.name) { golden in
                Button("Example \(golden.name)", systemImage: "square.grid.2x2") { Task { await demo.show(golden) } }
            }
        }
        .disabled(!demo.ready)
    }

    private var hasMessage: Binding<Bool> {
        Binding(get: { demo.message != nil }, set: { if !$0 { demo.message = nil } })
    }

    private func camera() async {
        if let obstacle = await CameraPicker.obstacle() {
            demo.message = obstacle
        } else {
            takesPicture = true
        }
    }

    private func load() async {
        guard let photo else { return }
        do {
            guard let data = try await photo.loadTransferable(type: Data.self) else {
                demo.message = String(localized: "The photo library did not give this picture")
                return
            }
            await demo.show(String(localized: "Photo"), data)
        } catch {
            demo.message = error.localizedDescription
        }
        self.photo = nil
    }
}
