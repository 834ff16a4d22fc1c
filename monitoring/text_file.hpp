#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace gondola {

/// The whole file. @throws MissingInputError where it does not exist, IoError where it cannot be
/// read.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path);

/// Replaces `path` by `text`: a reader sees the old file or the new one, never a part.
/// @throws IoError
void write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace gondola
