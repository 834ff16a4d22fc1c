#pragma once

#include <memory>
#include <string>

#include "data/archives/archive.hpp"

namespace gondola {

/// A tar (packed or not) or a zip. REQUIRES that the path exists.
/// @throws DataError (damaged, encrypted, a name that is there twice), IoError
[[nodiscard]] std::unique_ptr<Archive> open_packed_archive(const std::string& path);

}  // namespace gondola
