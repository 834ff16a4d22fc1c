#include "monitoring/run_name.hpp"

namespace gondola {

std::string run_name(const std::filesystem::path& run_folder) {
  const auto path = std::filesystem::absolute(run_folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace gondola
