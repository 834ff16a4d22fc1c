#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "data/dataset_file.hpp"
#include "data/file_watch.hpp"
#include "data/importers/file_sum.hpp"
#include "data/importers/import_source.hpp"
#include "data/nearby_files.hpp"

namespace gondola {

/// The SHA-256 of each file that an import reads, and whether all stay what they were: images that
/// are files since they were first read, others since this was made or their sum was begun. A
/// thread of its own sums while images are unpacked; images that are files are summed from the
/// bytes that were read of them, so that they are read once.
class SourceSums {
 public:
  /// Looks at every file, whether it can be read, and begins to sum. The listing must outlive this.
  /// @throws IoError
  SourceSums(const ImportListing& listing, std::int64_t jobs);

  /// An image was read that is a file of the listing. Thread-safe.
  /// @throws DataError where the file is no longer what it was when it was read before
  void add(const RawImage& image);

  /// One entry a file; many files are named by one sum of all. Reads what was not summed yet, on
  /// `jobs` threads, the first time. Thread-safe. @throws MissingInputError, IoError
  [[nodiscard]] std::vector<SourceFile> described();

  /// REQUIRES that described() was called. @throws DataError where a file is no longer what it was
  void require_unchanged() const;

 private:
  [[nodiscard]] bool is_image(std::size_t file) const {
    return file < listing_.as_images.size() && listing_.as_images[file];
  }
  /// Its sum where that was begun before; else null.
  [[nodiscard]] const FileSum* begun(std::size_t file) const {
    return file < listing_.sums.size() ? listing_.sums[file].get() : nullptr;
  }
  [[noreturn]] void refuse_change(std::size_t file) const;
  void sum_ahead(const std::stop_token& stop);
  void sum_rest();
  /// REQUIRES all sums.
  [[nodiscard]] std::vector<SourceFile> described_anew() const;
  /// action(files looked at before, index of a file) on `jobs` threads. What one throws first comes
  /// out.
  void for_each_file(const std::function<void(NearbyFiles&, std::size_t)>& action) const;

  const ImportListing& listing_;
  const std::int64_t jobs_;
  std::vector<FileStamp> stamps_;                   ///< Of images: set with the sum.
  std::vector<std::string> sums_;                   ///< Each set once, as the next says.
  const std::unique_ptr<std::once_flag[]> summed_;  ///< [files]
  std::mutex description_mutex_;
  std::vector<SourceFile> description_;  ///< Empty before it is first asked for.
  std::jthread ahead_;                   ///< The last member: it ends first.
};

}  // namespace gondola
