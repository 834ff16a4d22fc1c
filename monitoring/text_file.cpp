#include "monitoring/text_file.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <span>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"

namespace gondola {

std::string read_text_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    throw MissingInputError("there is no file " + path.string());
  }
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 65536> block;
  do {
    file.read(block.data(), block.size());
    text.append(block.data(), static_cast<std::size_t>(file.gcount()));
  } while (file.good());
  if (!file.is_open() || file.bad()) {
    throw IoError("cannot read " + path.string() + ": " + std::strerror(errno));
  }
  return text;
}

void write_text_file(const std::filesystem::path& path, std::string_view text) {
  write_file_atomically(path,
                        std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

}  // namespace gondola
