// The golden cases that the manifest.json of an export has for a file.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

using nlohmann::json;

struct Array {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
using Arrays = std::map<std::string, Array>;

struct Case {
  Arrays inputs, outputs;
};

// JSON has no number for nan, inf and -inf: the manifest has them as texts.
inline float read_number(const json& value) {
  return value.is_string() ? std::stof(value.get<std::string>()) : value.get<float>();
}

inline size_t size_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>());
}

inline Arrays read_arrays(const json& named) {
  Arrays arrays;
  for (const auto& [name, item] : named.items()) {
    Array& array = arrays[name];
    array.shape = item.at("shape").get<std::vector<int64_t>>();
    for (const auto& value : item.at("values")) array.values.push_back(read_number(value));
    if (array.values.size() != size_of(array.shape))
      throw std::runtime_error("manifest.json has more or fewer values of " + name + " than its shape");
  }
  return arrays;
}

inline std::vector<Case> read_cases(const std::filesystem::path& folder, const std::string& name) {
  std::ifstream file(folder / "manifest.json");
  if (!file) throw std::runtime_error("manifest.json cannot be opened");
  const json manifest = json::parse(file);
  const std::string graph = manifest.at("files").at(name).at("graph");
  std::vector<Case> cases;
  for (const auto& one : manifest.at("golden"))
    cases.push_back({read_arrays(one.at("inputs").at(graph)), read_arrays(one.at("outputs").at(name))});
  const auto has_no_outputs = [](const Case& one) { return one.outputs.empty(); };
  if (cases.empty() || std::any_of(cases.begin(), cases.end(), has_no_outputs))
    throw std::runtime_error("manifest.json has no golden outputs for " + name);
  return cases;
}

inline Arrays repeat_first_row(const Arrays& inputs, int rows) {
  Arrays batch = inputs;
  for (auto& [name, array] : batch) {
    const std::vector<float> all = array.values;
    const auto end_of_first = all.begin() + all.size() / array.shape.at(0);
    array.values.clear();
    for (int i = 0; i < rows; ++i) array.values.insert(array.values.end(), all.begin(), end_of_first);
    array.shape[0] = rows;
  }
  return batch;
}
