#pragma once

#include <string>
#include <string_view>

namespace gondola {

/// Hidden files and the copies of resource forks that macOS packs beside the files.
[[nodiscard]] bool is_hidden(std::string_view name);

/// The name without the "./" that some programs pack in front of it.
[[nodiscard]] std::string without_dot(std::string name);

}  // namespace gondola
