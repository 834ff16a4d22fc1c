#include "data/available_memory.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace gondola {
namespace {

/// The whole number that a file begins with; nothing where there is none ("max").
std::optional<std::int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// The number behind a word of a file; 0 where there is none.
std::int64_t number_after(const std::string& wanted, const std::string& path) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::int64_t value = 0;
    if (word == wanted && file >> value) return value;
  }
  return 0;
}

std::int64_t left_on_the_machine() {
  const auto kibibytes = number_after("MemAvailable:", "/proc/meminfo");
  // Unknown: let the attempt tell.
  return kibibytes > 0 ? kibibytes * 1024 : std::numeric_limits<std::int64_t>::max();
}

std::int64_t left_in_the_control_group() {
  auto left = std::numeric_limits<std::int64_t>::max();
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::")) continue;  // version 2
    for (auto folder = "/sys/fs/cgroup" + line.substr(3); folder.size() >= 14;
         folder.resize(folder.rfind('/'))) {
      const auto limit = number_in(folder + "/memory.max");
      const auto used = number_in(folder + "/memory.current");
      if (!limit || !used) continue;
      // Pages of files that nobody used lately make room.
      const auto free = *limit - *used + number_after("inactive_file", folder + "/memory.stat");
      left = std::min(left, std::max<std::int64_t>(0, free));
    }
  }
  return left;
}

}  // namespace

std::int64_t available_memory_bytes() {
  return std::min(left_on_the_machine(), left_in_the_control_group());
}

}  // namespace gondola
