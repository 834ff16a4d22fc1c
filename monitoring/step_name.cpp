#include "monitoring/step_name.hpp"

#include <string>

namespace gondola {

namespace fs = std::filesystem;

std::int64_t step_of(std::string_view name) {
  constexpr std::string_view kPrefix = "step-";
  if (!name.starts_with(kPrefix)) return -1;
  const auto digits = name.substr(kPrefix.size());
  const bool number = !digits.empty() && digits.size() < 19 &&
                      digits.find_first_not_of("0123456789") == std::string_view::npos;
  return number ? std::stoll(std::string(digits)) : -1;
}

std::map<std::int64_t, fs::path> pictures_of(const fs::path& run_folder) {
  std::map<std::int64_t, fs::path> pictures;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run_folder / "samples", none)) {
    const auto step = step_of(entry.path().stem().string());
    if (step >= 0 && entry.path().extension() == ".png") pictures[step] = entry.path();
  }
  return pictures;
}

}  // namespace gondola
