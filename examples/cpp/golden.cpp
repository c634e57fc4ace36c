// Checks model.onnx in the folder of an export against its golden cases, then times it.
//
// It needs C++17, ONNX Runtime and nlohmann/json. CMakeLists.txt says how to build it. Run it with the folder:
//
//     build/golden models/mnist/export
//
// It was built and run by hand on Linux, x86-64, with g++ 12.2, the headers of ONNX Runtime 1.21.0, the library of
// ONNX Runtime 1.31.1 and nlohmann/json 3.11.2. The tests do not build it.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "cases.hpp"

namespace fs = std::filesystem;

const std::string kFile = "model.onnx";
constexpr double kTolerance = 1e-4;
constexpr int kBatches[] = {1, 64};
constexpr int kWarmUpCalls = 10, kTimedCalls = 100;

struct Difference {
  double largest;
  std::string output;
};

std::vector<const char*> names_of(const Arrays& arrays) {
  std::vector<const char*> names;
  for (const auto& named : arrays) names.push_back(named.first.c_str());
  return names;
}

// The tensors share the memory of the arrays, so nothing is copied.
std::vector<Ort::Value> run(Ort::Session& session, Arrays& inputs, const std::vector<const char*>& outputs) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<Ort::Value> tensors;
  for (auto& [name, array] : inputs)
    tensors.push_back(Ort::Value::CreateTensor<float>(memory, array.values.data(), array.values.size(),
                                                      array.shape.data(), array.shape.size()));
  return session.Run(Ort::RunOptions{nullptr}, names_of(inputs).data(), tensors.data(), tensors.size(),
                     outputs.data(), outputs.size());
}

// 0 if both are nan, or the same infinity; infinite if only one of them is.
double difference(double found, double expected) {
  if (found == expected || (std::isnan(found) && std::isnan(expected))) return 0;
  const double apart = std::abs(found - expected);
  return std::isnan(apart) ? std::numeric_limits<double>::infinity() : apart;
}

// The largest absolute difference; infinite if the shapes differ.
double tensor_difference(const Ort::Value& found, const Array& expected) {
  if (found.GetTensorTypeAndShapeInfo().GetShape() != expected.shape) return std::numeric_limits<double>::infinity();
  const float* values = found.GetTensorData<float>();
  double largest = 0;
  for (size_t i = 0; i < expected.values.size(); ++i)
    largest = std::max(largest, difference(values[i], expected.values[i]));
  return largest;
}

// The output that differs most.
Difference check_case(Ort::Session& session, Case& one) {
  const auto found = run(session, one.inputs, names_of(one.outputs));
  Difference most{-1, ""};
  size_t index = 0;
  for (const auto& [name, expected] : one.outputs) {
    const double largest = tensor_difference(found[index++], expected);
    if (largest > most.largest) most = {largest, name};
  }
  return most;
}

void report_failure(const fs::path& folder, size_t number, const Difference& one) {
  std::fprintf(stderr,
               "%s: golden case %zu: output \"%s\" differs by %.3g, allowed %g; "
               "check that manifest.json and %s are from the same export\n",
               folder.string().c_str(), number, one.output.c_str(), one.largest, kTolerance, kFile.c_str());
}

bool check_cases(Ort::Session& session, std::vector<Case>& cases, const fs::path& folder) {
  double most = 0;
  size_t agree = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Difference one = check_case(session, cases[i]);
    most = std::max(most, one.largest);
    if (one.largest <= kTolerance) ++agree;
    else report_failure(folder, i + 1, one);
  }
  std::printf("golden: %zu of %zu cases agree, largest difference %.3g\n", agree, cases.size(), most);
  return agree == cases.size();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double microseconds_per_row(Ort::Session& session, const Case& one, int rows) {
  Arrays batch = repeat_first_row(one.inputs, rows);
  const auto outputs = names_of(one.outputs);
  std::vector<double> times;
  for (int call = 0; call < kWarmUpCalls + kTimedCalls; ++call) {
    const auto started = std::chrono::steady_clock::now();
    run(session, batch, outputs);
    const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - started;
    if (call >= kWarmUpCalls) times.push_back(taken.count());
  }
  return median(times) / rows;
}

bool check_and_time(const fs::path& folder) {
  std::vector<Case> cases = read_cases(folder, kFile);
  Ort::Env env;
  Ort::Session session(env, (folder / kFile).c_str(), Ort::SessionOptions{});
  // No other provider was added to the options, so it is the CPU's.
  std::printf("%s: CPUExecutionProvider, ONNX Runtime %s\n", (folder / kFile).string().c_str(),
              Ort::GetVersionString().c_str());
  if (!check_cases(session, cases, folder)) return false;
  for (const int rows : kBatches)
    std::printf("batch of %d: %.2f us per row, median of %d calls\n", rows,
                microseconds_per_row(session, cases[0], rows), kTimedCalls);
  return true;
}

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: golden FOLDER (of an export, such as models/mnist/export)\n");
    return 2;
  }
  try {
    return check_and_time(arguments[1]) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: cannot check %s with manifest.json (%s); give the unchanged folder of an export\n",
                 arguments[1], kFile.c_str(), error.what());
    return 1;
  }
}
