#include "data/archives/tar_places.hpp"

#include <utility>

#include "data/archives/member_reader.hpp"

namespace gondola {

void TarPlaces::add(const LibarchiveReader& reader, archive_entry* entry, bool is_member) {
  known_ = known_ && !reader.is_packed() && reader.is_tar() && ends_at(reader.header_position());
  last_ = {reader.data_position(), ::archive_entry_size(entry)};
  // A header may claim what it likes.
  known_ = known_ && last_.size_bytes >= 0 && last_.size_bytes <= kMostMemberBytes;
  if (known_ && is_member) members_.push_back(last_);
}

std::vector<TarPlaces::Place> TarPlaces::members(const LibarchiveReader& reader) && {
  if (!known_ || !ends_at(reader.header_position())) members_.clear();
  return std::move(members_);
}

bool TarPlaces::ends_at(std::int64_t position) const {
  constexpr std::int64_t kBlock = 512;
  const std::int64_t end = last_.offset_bytes + last_.size_bytes;
  return (end + kBlock - 1) / kBlock * kBlock == position;
}

}  // namespace gondola
