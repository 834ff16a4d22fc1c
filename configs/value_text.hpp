#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "configs/option.hpp"
#include "configs/run_config.hpp"

namespace gondola {

/// The names of the enumerators, in their order.
inline std::vector<std::string> names_of(Shuffle) { return {"full", "blocks", "none"}; }
inline std::vector<std::string> names_of(CacheKind) { return {"none", "host", "device", "auto"}; }
inline std::vector<std::string> names_of(Family) {
  return {"gon", "vgon", "classifier", "joint", "translation", "autoencoder", "tied_autoencoder",
          "vae", "glo"};
}
inline std::vector<std::string> names_of(DecoderKind) { return {"siren", "conv"}; }
inline std::vector<std::string> names_of(ActivationKind) {
  return {"sin", "relu", "leaky_relu", "tanh", "elu", "softplus", "swish"};
}
inline std::vector<std::string> names_of(BatchNormMode) { return {"sync", "local", "none"}; }
inline std::vector<std::string> names_of(LatentUpdate) { return {"gradient", "descent"}; }
inline std::vector<std::string> names_of(LatentPath) {
  return {"auto", "shared_origin", "double_backward"};
}
inline std::vector<std::string> names_of(CoordinateSampler) {
  return {"full", "uniform", "stratified", "sobol"};
}
inline std::vector<std::string> names_of(Overlap) { return {"auto", "off"}; }
inline std::vector<std::string> names_of(Matmul) { return {"auto", "aten", "onednn"}; }
inline std::vector<std::string> names_of(Precision) {
  return {"float64", "float32", "tf32", "bf16"};
}
inline std::vector<std::string> names_of(OnNonfinite) { return {"skip", "rollback", "stop"}; }
inline std::vector<std::string> names_of(Schedule) { return {"constant", "cosine"}; }
inline std::vector<std::string> names_of(DeviceKind) { return {"auto", "cpu", "cuda"}; }
inline std::vector<std::string> names_of(EvaluationStatistics) { return {"independent", "batch"}; }

/// A value as text; a number in the fewest digits that read back to the same value.
template <typename Value>
[[nodiscard]] std::string to_text(const Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    return names_of(Value{}).at(static_cast<std::size_t>(value));
  } else if constexpr (std::is_same_v<Value, std::string>) {
    return value;
  } else if constexpr (std::is_same_v<Value, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<Value, CoordinateSet>) {
    const auto sampler = to_text(value.sampler);
    return value.sampler == CoordinateSampler::kFull ? sampler
                                                     : sampler + ":" + to_text(value.count);
  } else {
    std::array<char, 40> digits{};
    return {digits.data(), std::to_chars(digits.begin(), digits.end(), value).ptr};
  }
}

/// Stores a value written as text; false, the value unchanged, when the text is not one of its
/// type.
template <typename Value>
[[nodiscard]] bool from_text(std::string_view text, Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    const auto names = names_of(Value{});
    const auto found = std::find(names.begin(), names.end(), text);
    if (found == names.end()) return false;
    value = static_cast<Value>(found - names.begin());
  } else if constexpr (std::is_same_v<Value, std::string>) {
    if (text.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos) return false;
    value = text;
  } else if constexpr (std::is_same_v<Value, bool>) {
    if (text != "true" && text != "false") return false;
    value = text == "true";
  } else if constexpr (std::is_same_v<Value, CoordinateSet>) {
    CoordinateSet set;
    const auto colon = text.find(':');
    const bool counted = colon != std::string_view::npos;
    if (!from_text(text.substr(0, colon), set.sampler)) return false;
    if (counted == (set.sampler == CoordinateSampler::kFull)) return false;
    if (counted && (!from_text(text.substr(colon + 1), set.count) || set.count < 1)) return false;
    value = set;
  } else {
    Value number{};
    const auto end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stop != end) return false;
    value = number;
  }
  return true;
}

template <typename Value>
constexpr OptionType option_type_of() {
  if constexpr (std::is_enum_v<Value>) return OptionType::kChoice;
  if constexpr (std::is_same_v<Value, std::string>) return OptionType::kText;
  if constexpr (std::is_same_v<Value, bool>) return OptionType::kFlag;
  if constexpr (std::is_same_v<Value, CoordinateSet>) return OptionType::kCoordinates;
  if constexpr (std::is_integral_v<Value>) return OptionType::kWholeNumber;
  return OptionType::kNumber;
}

}  // namespace gondola
