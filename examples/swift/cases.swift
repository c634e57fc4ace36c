// The golden cases that the manifest.json of an export has for a file. Nobody has run this; see golden.swift.

import CoreML
import Foundation

struct Manifest: Decodable {
    struct File: Decodable { let graph: String }
    struct Case: Decodable { let inputs, outputs: [String: [String: Tensor]] }
    let files: [String: File]
    let golden: [Case]
}

struct Tensor: Decodable {
    let shape: [Int]
    let values: [Number]
}

// JSON has no number for nan, inf and -inf: the manifest has them as texts.
struct Number: Decodable {
    let value: Float

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            value = try orFail(Float(text), "manifest.json has \(text) where a number is expected")
        } else {
            value = try container.decode(Float.self)
        }
    }
}

struct Failure: Error, CustomStringConvertible { let description: String }

func orFail<Value>(_ value: Value?, _ message: String) throws -> Value {
    guard let value else { throw Failure(description: message) }
    return value
}

struct Case {
    let inputs: MLDictionaryFeatureProvider
    let outputs: [String: Tensor]
}

func readCases(_ folder: URL, _ file: String) throws -> [Case] {
    let data = try Data(contentsOf: folder.appendingPathComponent("manifest.json"))
    let manifest = try JSONDecoder().decode(Manifest.self, from: data)
    let missing = "manifest.json has no golden outputs for \(file)"
    let graph = try orFail(manifest.files[file]?.graph, missing)
    let cases = try manifest.golden.map { one in
        Case(
            inputs: try features(try orFail(one.inputs[graph], missing)),
            outputs: try orFail(one.outputs[file], missing))
    }
    if cases.isEmpty || cases.contains(where: { $0.outputs.isEmpty }) { throw Failure(description: missing) }
    return cases
}

func features(_ tensors: [String: Tensor]) throws -> MLDictionaryFeatureProvider {
    try MLDictionaryFeatureProvider(dictionary: tensors.mapValues { MLFeatureValue(multiArray: try multiArray($0)) })
}

func multiArray(_ tensor: Tensor) throws -> MLMultiArray {
    let array = try MLMultiArray(shape: tensor.shape.map { NSNumber(value: $0) }, dataType: .float32)
    if array.count != tensor.values.count {
        throw Failure(description: "manifest.json has more or fewer values of an input than its shape")
    }
    for (index, number) in tensor.values.enumerated() { array[index] = NSNumber(value: number.value) }
    return array
}
