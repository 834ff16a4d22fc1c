#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string_view>

namespace gondola {

/// The number in "step-00000500"; -1 where the name is another.
[[nodiscard]] std::int64_t step_of(std::string_view name);

/// The pictures samples/step-*.png of a run folder by step.
[[nodiscard]] std::map<std::int64_t, std::filesystem::path> pictures_of(
    const std::filesystem::path& run_folder);

}  // namespace gondola
