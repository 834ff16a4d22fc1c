#pragma once

#include <cstdint>

#include "data/file_descriptor.hpp"

namespace gondola {

/// Has the page cache hold bytes [offset, offset+bytes) of a file by reads whose copies are thrown
/// away, and waits until it does: where the file is not mapped, or faults are slow, as on file
/// systems of a network. What cannot be read is passed over: who reads it learns why. Thread-safe.
void read_into_page_cache(const FileDescriptor& file, std::int64_t offset_bytes,
                          std::int64_t bytes);

}  // namespace gondola
