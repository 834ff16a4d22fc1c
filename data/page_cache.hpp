#pragma once

#include <cstdint>

#include "data/file_descriptor.hpp"

namespace gondola {

/// How bytes of a file came into the page cache.
enum class FetchedBy {
  kNothing,  ///< They were there.
  kMapping,  ///< Through a mapping, in large pages where the file system can.
  kReading,  ///< Through reads, whose copies are thrown away.
};

/// Has the page cache hold bytes [offset, offset+bytes) of a file, and waits until it does. It is
/// the fastest way to read a file from end to end; advice to the system (WILLNEED) takes twice as
/// long. What cannot be read is passed over: who reads it learns why. Thread-safe.
///
/// @param may_map false where faults are slow, as on file systems of a network
FetchedBy fetch_into_page_cache(const FileDescriptor& file, std::int64_t offset_bytes,
                                std::int64_t bytes, bool may_map);

}  // namespace gondola
