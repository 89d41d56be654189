import SwiftUI

@main
struct AcwskdDemoApp: App {
    @State private var demo = Demo()

    var body: some Scene {
        WindowGroup {
            ContentView(demo: demo)
                .task { await demo.open() }
        }
    }
}
