// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "SegmentationKit",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "SegmentationKit", targets: ["SegmentationKit"])],
    targets: [
        .target(name: "SegmentationKit"),
        .testTarget(name: "SegmentationKitTests", dependencies: ["SegmentationKit"]),
    ]
)
