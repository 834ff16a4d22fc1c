#include "data/archives/packed_file.hpp"

#include "data/archives/libarchive_reader.hpp"

namespace gondola {

std::vector<std::uint8_t> read_packed_file(const std::string& path, std::int64_t most_bytes) {
  LibarchiveReader reader(path, LibarchiveReader::Format::kRaw);
  if (reader.next() == nullptr) return {};
  return reader.read("", most_bytes, 0);
}

}  // namespace gondola
