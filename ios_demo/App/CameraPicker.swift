import AVFoundation
import SwiftUI
import UIKit

/// The system's camera.
struct CameraPicker: UIViewControllerRepresentable {
    let taken: (UIImage) -> Void
    @Environment(\.dismiss) private var dismiss

    /// Why there is no camera, or nil. Asks for permission the first time.
    static func obstacle() async -> String? {
        guard UIImagePickerController.isSourceTypeAvailable(.camera) else {
            return String(localized: "This device has no camera; choose a photo or an example")
        }
        if await AVCaptureDevice.requestAccess(for: .video) { return nil }
        return String(localized: "The camera is not allowed; allow it in Settings, or choose a photo or an example")
    }

    func makeUIViewController(context: Context) -> UIImagePickerController {
        let picker = UIImagePickerController()
        picker.sourceType = .camera
        picker.delegate = context.coordinator
        return picker
    }

    func updateUIViewController(_ picker: UIImagePickerController, context: Context) {}

    func makeCoordinator() -> Coordinator {
        Coordinator(taken: taken, dismiss: { dismiss() })
    }

    final class Coordinator: NSObject, UIImagePickerControllerDelegate, UINavigationControllerDelegate {
        private let taken: (UIImage) -> Void
        private let dismiss: () -> Void

        init(taken: @escaping (UIImage) -> Void, dismiss: @escaping () -> Void) {
            (self.taken, self.dismiss) = (taken, dismiss)
        }

        func imagePickerController(
            _ picker: UIImagePickerController,
            didFinishPickingMediaWithInfo info: [UIImagePickerController.InfoKey: Any]
        ) {
            if let image = info[.originalImage] as? UIImage { taken(image) }
            dismiss()
        }

        func imagePickerControllerDidCancel(_ picker: UIImagePickerController) { dismiss() }
    }
}
