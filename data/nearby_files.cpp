#include "data/nearby_files.hpp"

#include <fcntl.h>

namespace gondola {

NearbyFiles::Place NearbyFiles::place_of(const std::string& path) {
  const auto name = path.rfind('/') + 1;  // 0 where there is no folder
  if (name == 0) return {AT_FDCWD, path.c_str()};
  if (folder_path_.size() != name || path.compare(0, name, folder_path_) != 0) {
    folder_path_ = path.substr(0, name);
    folder_ = FileDescriptor(::open(folder_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  if (!folder_) return {AT_FDCWD, path.c_str()};  // what is wrong shows when the file is looked at
  return {folder_.get(), path.c_str() + name};
}

}  // namespace gondola
