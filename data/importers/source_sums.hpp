#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "data/dataset_file.hpp"
#include "data/importers/import_source.hpp"

namespace gondola {

/// The SHA-256 of each file that an import reads, and whether all stay what they were when this
/// was made. A thread of its own sums while images are unpacked; files that are images themselves
/// are summed from the bytes that were read of them, so that they are read once.
class SourceSums {
 public:
  /// Looks at every file, whether it can be read, and begins to sum. @throws IoError
  SourceSums(const ImportListing& listing, std::int64_t jobs);

  /// The bytes of the file number `file` of the listing. Thread-safe.
  void add(std::size_t file, std::span<const std::uint8_t> bytes);

  /// One entry a file; many files are named by one sum of all. Reads what was not summed yet, on
  /// `jobs` threads, the first time. Thread-safe. @throws MissingInputError, IoError
  [[nodiscard]] std::vector<SourceFile> described();

  /// @throws DataError where a file is no longer what it was
  void require_unchanged() const;

 private:
  /// Size and time of the last change.
  using Stamp = std::array<std::int64_t, 3>;

  static Stamp stamp_of(const std::string& path);
  void sum_ahead(const std::vector<bool>& as_images, const std::stop_token& stop);
  void sum_rest();
  /// REQUIRES all sums.
  [[nodiscard]] std::vector<SourceFile> described_anew() const;
  /// action(index of a file) on `jobs` threads. What one throws first comes out.
  void for_each_file(const std::function<void(std::size_t)>& action) const;

  const std::vector<std::string> paths_;
  const std::int64_t jobs_;
  std::vector<Stamp> stamps_;
  std::vector<std::string> sums_;                   ///< Each set once, as the next says.
  const std::unique_ptr<std::once_flag[]> summed_;  ///< [files]
  std::mutex description_mutex_;
  std::vector<SourceFile> description_;  ///< Empty before it is first asked for.
  std::jthread ahead_;                   ///< The last member: it ends first.
};

}  // namespace gondola
