import Foundation

/// What a user can meet, as one readable line: what was given, what is allowed, what to do next.
public enum SegmentationError: Error, Equatable, LocalizedError, Sendable {
    case contract(String)  // contract.json does not follow its schema
    case bundle(String)  // the bundle is absent, of another schema, or its bytes are not the ones it was sealed with
    case array(String)  // an .npy file or an array of another shape
    case picture(String)  // a picture that the contract does not cover
    case model(String)  // Core ML refused the model, or its output cannot be used

    public var message: String {
        switch self {
        case .contract(let text), .bundle(let text), .array(let text), .picture(let text), .model(let text): text
        }
    }

    public var errorDescription: String? { message }
}

/// Decode a JSON object of a known schema; `failure` wraps the reason, which names `source` and the key at fault.
func decodeJSON<Value: Decodable>(
    _ type: Value.Type, from data: Data, source: String, schema: Int?, failure: (String) -> SegmentationError
) throws -> Value {
    if let schema {
        guard let found = try? JSONDecoder().decode(Version.self, from: data) else {
            throw failure("\(source) is not a JSON object with a schema; convert again")
        }
        guard found.schema == schema else {
            throw failure(
                "\(source) has schema \(found.schema); allowed: \(schema); next: use the app of the acwskd-edge release "
                    + "that wrote it, or convert again")
        }
    }
    do {
        return try JSONDecoder().decode(type, from: data)
    } catch let error as DecodingError {
        throw failure("\(source) is incomplete or malformed (\(reason(of: error))); convert again")
    } catch {
        throw failure("\(source) is not readable JSON; convert again")
    }
}

private struct Version: Decodable {
    let schema: Int
}

private func reason(of error: DecodingError) -> String {
    func place(_ context: DecodingError.Context) -> String {
        context.codingPath.map(\.stringValue).joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context):
        return "no \((context.codingPath.map(\.stringValue) + [key.stringValue]).joined(separator: "."))"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
        return "\(place(context)) has a value of the wrong kind"
    case .dataCorrupted(let context):
        return context.codingPath.isEmpty ? "not JSON" : "\(place(context)): \(context.debugDescription)"
    @unknown default:
        return "unknown"
    }
}
