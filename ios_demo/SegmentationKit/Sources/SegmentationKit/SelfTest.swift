import Foundation

/// One line of a self-test's verdict.
public struct Check: Equatable, Sendable {
    public let name: String
    public let passed: Bool
    public let detail: String

    public init(name: String, passed: Bool, detail: String) {
        (self.name, self.passed, self.detail) = (name, passed, detail)
    }
}

/// The golden vectors through this machine's preprocessing and through its runtime, apart, so that a failure says which.
public enum SelfTest {
    /// An fp32 artefact on a CPU is the checkpoint in another file format.
    public static let fp32LogitError: Float = 1e-3
    /// Other machines round otherwise.
    public static let agreementSlack = 0.005

    /// Image -> pixels must be exact; so must logits -> mask.
    public static func preprocessing(_ golden: [Golden], contract: Contract) -> Check {
        var wrong: [String] = []
        for one in golden {
            if contract.toGrid(one.image) != one.pixels { wrong.append(one.name) }
            let grid = try? contract.mask(of: one.logits)
            let mask = grid.map { contract.toImage($0, height: one.image.height, width: one.image.width) }
            if mask != one.mask { wrong.append("\(one.name) (mask)") }
        }
        let passed = wrong.isEmpty && !golden.isEmpty
        let differs = "differs from the golden vectors: \(wrong.joined(separator: ", "))"
        let detail = passed ? "\(golden.count) golden vectors, exact" : differs
        return Check(name: "preprocessing", passed: passed, detail: detail)
    }

    /// The model on the golden pixels must agree with the checkpoint as well as it did when it was made.
    ///
    /// - Parameters:
    ///   - needed: the agreement that was measured then; the slack is taken off here.
    ///   - exact: whether the logits themselves must agree: fp32 on a CPU.
    public static func runtime(
        _ model: any SegmentationModel, name: String, golden: [Golden], contract: Contract, needed: Double, exact: Bool
    ) -> Check {
        var (equal, pixels, error) = (0, 0, Float(0))
        do {
            for one in golden {
                let wanted = try contract.mask(of: one.logits)
                let logits = try model.logits(for: contract.normalise(one.pixels))
                equal += zip(try contract.mask(of: logits), wanted).filter { $0 == $1 }.count
                pixels += wanted.count
                error = zip(logits, one.logits).reduce(error) { max($0, abs($1.0 - $1.1)) }
            }
        } catch {
            return Check(name: name, passed: false, detail: error.localizedDescription)
        }
        let agreement = pixels == 0 ? 0 : Double(equal) / Double(pixels)
        let least = max(0, needed - agreementSlack)
        let detail = String(
            format: "argmax agreement %.5f (needed %.5f), logit error %.1e", agreement, least, Double(error))
        let passed = agreement >= least && (!exact || error <= fp32LogitError)
        return Check(name: name, passed: passed, detail: passed ? detail : "runtime differs: \(detail)")
    }
}
