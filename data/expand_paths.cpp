#include "data/expand_paths.hpp"

#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "configs/errors.hpp"

namespace gondola {

std::vector<std::string> expand_paths(const std::string& list) {
  std::vector<std::string> paths;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string item = list.substr(begin, end - begin);
    begin = end + 1;
    if (item.find_first_of("*?[") == std::string::npos || std::filesystem::exists(item)) {
      paths.push_back(item);
      continue;
    }
    glob_t found{};
    const int result = ::glob(item.c_str(), 0, nullptr, &found);
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      paths.emplace_back(found.gl_pathv[i]);
    }
    ::globfree(&found);
    if (result != 0) {
      throw MissingInputError("no file fits " + item + "; check the path");
    }
  }
  return paths;
}

}  // namespace gondola
