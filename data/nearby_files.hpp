#pragma once

#include <string>

#include "data/file_descriptor.hpp"

namespace gondola {

/// Finds files by their paths. Of files that follow each other in one folder the way to the folder
/// is looked up once, not for each. One thread.
class NearbyFiles {
 public:
  /// A file as the system's ...at() calls take it.
  struct Place {
    int folder = -1;
    const char* name = nullptr;
  };

  /// Valid until the next call, and as long as `path`.
  [[nodiscard]] Place place_of(const std::string& path);

 private:
  std::string folder_path_;  ///< With "/" at its end.
  FileDescriptor folder_;
};

}  // namespace gondola
