#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/archives/member_reader.hpp"
#include "data/archives/tar_places.hpp"
#include "data/file_descriptor.hpp"
#include "data/file_watch.hpp"

namespace gondola {

/// Reads the members of a tar whose places are known.
class TarReader final : public MemberReader {
 public:
  /// @param places by member
  /// @param order of the members in the file
  /// @param before the tar's stat from when it was listed
  /// @throws DataError where it is another file by now, IoError
  TarReader(const std::string& path, std::vector<TarPlaces::Place> places,
            std::vector<std::size_t> order, const struct ::stat& before);

  std::optional<FileStamp> read(std::size_t member,
                                std::vector<std::uint8_t>& bytes) const override;
  [[nodiscard]] std::vector<std::size_t> order() const override { return order_; }

  /// @throws DataError where what was read up to now may not be what was listed
  void require_unchanged() const;

 private:
  [[nodiscard]] const FileDescriptor& require_open() const;

  std::string path_;
  std::vector<TarPlaces::Place> places_;
  std::vector<std::size_t> order_;
  FileDescriptor file_;
  std::int64_t listed_bytes_;
  FileWatch watch_;
};

}  // namespace gondola
