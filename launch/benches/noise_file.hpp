#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "trainer/image_shape.hpp"

namespace gondola {

/// A folder of its own among the temporary files, removed with what is in it.
class TemporaryFolder {
 public:
  /// @throws IoError
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A dataset file of noise in a folder of its own, gone with this object.
class NoiseFile {
 public:
  /// @throws IoError
  NoiseFile(std::int64_t images, const ImageShape& shape);
  [[nodiscard]] std::string path() const { return folder_.path() / "noise.h5"; }

 private:
  TemporaryFolder folder_;
};

}  // namespace gondola
