#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "data/file_watch.hpp"

namespace gondola {

/// A member of more is refused.
inline constexpr std::int64_t kMostMemberBytes = std::int64_t{1} << 31;

/// Reads members of an archive in any order. Thread-safe. The archive must outlive it.
class MemberReader {
 public:
  MemberReader() = default;
  virtual ~MemberReader() = default;
  MemberReader(const MemberReader&) = delete;
  MemberReader& operator=(const MemberReader&) = delete;

  /// Replaces `bytes` by those of a member, and says what its file was like before they were read
  /// where it is a file of its own.
  /// @throws DataError (damaged, changed since the archive was opened), MissingInputError, IoError
  virtual std::optional<FileStamp> read(std::size_t member,
                                        std::vector<std::uint8_t>& bytes) const = 0;

  /// All members as they lie: read in this order, a disk need not seek.
  [[nodiscard]] virtual std::vector<std::size_t> order() const = 0;
};

}  // namespace gondola
