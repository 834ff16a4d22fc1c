#pragma once

#include <archive_entry.h>

#include <cstdint>
#include <vector>

#include "data/archives/libarchive_reader.hpp"

namespace gondola {

/// Where the members of a tar that is not packed lie, so that they can be read past libarchive. It
/// is known where each follows the one before with nothing but its own bytes, filled up to whole
/// blocks, between: not of members with holes.
class TarPlaces {
 public:
  struct Place {
    std::int64_t offset_bytes = 0, size_bytes = 0;
  };

  /// REQUIRES the entry that next() returned, each after the other.
  void add(const LibarchiveReader& reader, archive_entry* entry, bool is_member);

  /// Of each member, in the order of the file; empty where it is not known. REQUIRES that next()
  /// returned nothing: it looked for a header behind the last member.
  [[nodiscard]] std::vector<Place> members(const LibarchiveReader& reader) &&;

 private:
  [[nodiscard]] bool ends_at(std::int64_t position) const;

  bool known_ = true;
  Place last_;
  std::vector<Place> members_;
};

}  // namespace gondola
