#pragma once

#include <memory>
#include <string>

#include "data/archives/archive.hpp"

namespace gondola {

/// The files of a folder and of the folders in it, or one plain file. Links to files count as
/// files; links to folders are not followed. REQUIRES that the path exists. @throws IoError
[[nodiscard]] std::unique_ptr<Archive> open_folder(const std::string& path);

}  // namespace gondola
