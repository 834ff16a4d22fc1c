#pragma once

#include <filesystem>
#include <string>

namespace gondola {

/// What a run is called: the last part of its folder's path, however that was written.
[[nodiscard]] std::string run_name(const std::filesystem::path& run_folder);

}  // namespace gondola
