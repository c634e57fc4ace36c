// Nobody has run this: no Mac was available where it was written. It follows Apple's documentation, and only its
// syntax was checked.
//
// Checks model.mlpackage in the folder of an export against its golden cases, then times it.
// It needs macOS 14 or later and Apple's command line tools. Build it, and run it with the folder:
//
//     swiftc -O golden.swift cases.swift -o golden
//     ./golden models/mnist/export [all|cpuOnly|cpuAndGPU|cpuAndNeuralEngine]

import CoreML
import Foundation

enum Settings {
    static let file = "model.mlpackage"
    static let tolerance = 5e-3
    static let batches = [1, 64]
    static let warmUpCalls = 10
    static let timedCalls = 100
    static let units: [String: MLComputeUnits] = [
        "all": .all, "cpuOnly": .cpuOnly, "cpuAndGPU": .cpuAndGPU, "cpuAndNeuralEngine": .cpuAndNeuralEngine,
    ]
}

// The package is compiled into a temporary folder. Its rows are of a fixed batch of 1.
func openModel(_ folder: URL, _ units: MLComputeUnits) async throws -> MLModel {
    let compiled = try await MLModel.compileModel(at: folder.appendingPathComponent(Settings.file))
    let configuration = MLModelConfiguration()
    configuration.computeUnits = units
    return try MLModel(contentsOf: compiled, configuration: configuration)
}

// The largest absolute difference; infinite if the shapes differ.
func tensorDifference(_ found: MLMultiArray, _ expected: Tensor) -> Double {
    // A shaped array heeds the strides, which need not be those of rows without gaps.
    let shaped = MLShapedArray<Float>(converting: found)
    guard shaped.shape == expected.shape, shaped.scalars.count == expected.values.count else { return .infinity }
    return zip(shaped.scalars, expected.values).map { difference(Double($0), Double($1.value)) }.max() ?? 0
}

// 0 if both are nan, or the same infinity; infinite if only one of them is.
func difference(_ found: Double, _ expected: Double) -> Double {
    if found == expected || (found.isNaN && expected.isNaN) { return 0 }
    return (found - expected).isNaN ? .infinity : abs(found - expected)
}

// The output that differs most: by how much, and its name.
func checkCase(_ model: MLModel, _ one: Case) throws -> (largest: Double, output: String) {
    let found = try model.prediction(from: one.inputs)
    let differences = try one.outputs.map { name, expected in
        let value = try orFail(found.featureValue(for: name)?.multiArrayValue, "the model has no output \(name)")
        return (largest: tensorDifference(value, expected), output: name)
    }
    return try orFail(differences.max { $0.largest < $1.largest }, "a golden case has no outputs")
}

func checkCases(_ model: MLModel, _ cases: [Case], _ folder: URL) throws -> Bool {
    let differences = try cases.map { try checkCase(model, $0) }
    for (index, one) in differences.enumerated() where one.largest > Settings.tolerance {
        reportFailure(folder, index + 1, one.output, one.largest)
    }
    let agree = differences.filter { $0.largest <= Settings.tolerance }.count
    let most = differences.map(\.largest).max() ?? 0
    print("golden: \(agree) of \(cases.count) cases agree, largest difference \(String(format: "%.3g", most))")
    return agree == cases.count
}

func reportFailure(_ folder: URL, _ number: Int, _ output: String, _ largest: Double) {
    let difference = "differs by \(String(format: "%.3g", largest)), allowed \(Settings.tolerance)"
    let fix = "check that manifest.json and \(Settings.file) are from the same export"
    complain("\(folder.path): golden case \(number): output \"\(output)\" \(difference); \(fix)")
}

func complain(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}

// A package of batch 1 takes more rows as a batch of inputs.
func microsecondsPerRow(_ model: MLModel, _ inputs: any MLFeatureProvider, _ rows: Int) throws -> Double {
    let batch = MLArrayBatchProvider(array: Array(repeating: inputs, count: rows))
    var times: [Double] = []
    for _ in 0..<(Settings.warmUpCalls + Settings.timedCalls) {
        let started = DispatchTime.now().uptimeNanoseconds
        if rows == 1 {
            _ = try model.prediction(from: inputs)
        } else {
            _ = try model.predictions(fromBatch: batch)
        }
        times.append(Double(DispatchTime.now().uptimeNanoseconds - started) / 1e3)
    }
    return median(Array(times.dropFirst(Settings.warmUpCalls))) / Double(rows)
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

func checkAndTime(_ folder: URL, _ model: MLModel, _ unitsName: String) throws -> Bool {
    let cases = try readCases(folder, Settings.file)
    // Core ML chooses for each operation among the units that are allowed, and does not say which it chose.
    print("\(folder.appendingPathComponent(Settings.file).path): Core ML, compute units allowed: \(unitsName)")
    if !(try checkCases(model, cases, folder)) { return false }
    for rows in Settings.batches {
        let time = String(format: "%.2f", try microsecondsPerRow(model, cases[0].inputs, rows))
        print("batch of \(rows): \(time) us per row, median of \(Settings.timedCalls) calls")
    }
    return true
}

@main
struct Golden {
    static func main() async {
        let arguments = CommandLine.arguments.dropFirst()
        let unitsName = arguments.count == 2 ? arguments.last! : "all"
        guard (1...2).contains(arguments.count), let units = Settings.units[unitsName] else {
            complain("usage: golden FOLDER [\(Settings.units.keys.sorted().joined(separator: "|"))]")
            exit(2)
        }
        let folder = URL(fileURLWithPath: arguments.first!)
        do {
            let model = try await openModel(folder, units)
            exit(try checkAndTime(folder, model, unitsName) ? 0 : 1)
        } catch {
            let what = "cannot check \(Settings.file) with manifest.json (\(error))"
            complain("\(folder.path): \(what); give the unchanged folder of an export")
            exit(1)
        }
    }
}
