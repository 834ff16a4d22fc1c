#include "data/page_cache.hpp"

#include <unistd.h>

#include <algorithm>
#include <vector>

namespace gondola {

void read_into_page_cache(const FileDescriptor& file, std::int64_t offset_bytes,
                          std::int64_t bytes) {
  constexpr std::int64_t kBufferBytes = 1 << 20;
  thread_local std::vector<char> buffer;
  buffer.resize(static_cast<std::size_t>(std::clamp<std::int64_t>(bytes, 0, kBufferBytes)));
  for (const std::int64_t end = offset_bytes + bytes; offset_bytes < end;) {
    const auto part = std::min(buffer.size(), static_cast<std::size_t>(end - offset_bytes));
    const auto got = ::pread(file.get(), buffer.data(), part, offset_bytes);
    if (got <= 0) return;
    offset_bytes += got;
  }
}

}  // namespace gondola
