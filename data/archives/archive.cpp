#include "data/archives/archive.hpp"

#include <algorithm>
#include <filesystem>

#include "configs/errors.hpp"
#include "data/archives/folder.hpp"
#include "data/archives/packed_archive.hpp"

namespace gondola {

namespace fs = std::filesystem;

bool is_archive_name(const std::string& path) {
  std::string name = fs::path(path).filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return name.ends_with(".zip") || name.ends_with(".tar") || name.find(".tar.") != name.npos ||
         name.ends_with(".tgz") || name.ends_with(".txz") || name.ends_with(".tbz2") ||
         name.ends_with(".tzst");
}

std::unique_ptr<Archive> Archive::open(const std::string& path) {
  if (!fs::exists(path)) {
    throw MissingInputError("there is no file or folder " + path + "; check the path");
  }
  if (!fs::is_directory(path) && is_archive_name(path)) return open_packed_archive(path);
  return open_folder(path);
}

void Archive::require_no_link(const std::function<bool(std::string_view)>& wanted) const {
  const auto link = std::find_if(links_.begin(), links_.end(), wanted);
  if (link == links_.end()) return;
  throw DataError(path_ + ": " + *link +
                  " is a link, which holds no bytes of its own; pack it again with what links lead "
                  "to, by tar -h --hard-dereference or zip without -y");
}

std::vector<std::uint8_t> Archive::read_one(std::size_t member) const {
  std::vector<std::uint8_t> found;
  read([member](std::size_t other) { return other == member; },
       [&found](std::size_t, std::vector<std::uint8_t> bytes) { found = std::move(bytes); });
  return found;
}

}  // namespace gondola
