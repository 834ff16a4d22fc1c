#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gondola {

/// All bytes of a file, unpacked where it is packed (gzip, xz, bzip2, zstd).
/// @throws MissingInputError, DataError (damaged, more than `most_bytes`), IoError
[[nodiscard]] std::vector<std::uint8_t> read_packed_file(const std::string& path,
                                                         std::int64_t most_bytes);

}  // namespace gondola
