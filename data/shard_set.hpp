#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "data/dataset_file.hpp"
#include "data/file_descriptor.hpp"
#include "data/file_watch.hpp"
#include "data/image_source.hpp"
#include "data/mapped_file.hpp"

namespace gondola {

/// One split of one or more dataset files with equal C, H, W; ids run through the files in order.
/// Files without the split are passed over.
///
/// Where a file holds its pixels as one run of bytes, they are read past HDF5: by pread, or from a
/// mapping, where fetch() went through one, or where the page cache holds nearly all of them and a
/// trial, repeated from epoch to epoch, says that it is faster. Other files go through HDF5, one
/// thread at a time, where the HDF5 library is thread-safe, with a warning that tells how much
/// slower that is.
class ShardSet final : public ImageSource {
 public:
  /// Where a file's images lie. Image i of the file has the id first_id + i.
  struct Shard {
    std::string path;
    std::int64_t first_id = 0, images = 0;
    std::int64_t offset_bytes = 0;
    bool remote = false;                ///< On a file system that other machines serve.
    FileDescriptor file;                ///< Open where images are read past HDF5 ...
    MappedFile mapping;                 ///< Of the images, where `file` is open and can be mapped.
    std::unique_ptr<DatasetFile> hdf5;  ///< ... and this where they are read through it.
    FileDescriptor watched;             ///< The file that `hdf5` reads; for the watch only.
    std::unique_ptr<FileWatch> watch;
  };

  /// @throws MissingInputError, IoError, DataError
  [[nodiscard]] static std::unique_ptr<ShardSet> open(const std::string& list, Split split);

  void read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const override;
  void read_values(std::span<const std::int64_t> ids, std::span<float> out) const override;
  void pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
            std::span<std::uint8_t> out) const override;
  void fetch(std::int64_t first, std::int64_t images) const override;
  [[nodiscard]] ImageStorage storage() const override;
  void forget() const override;

  /// Fixes how images are read, where no trial shall decide. Call it before any image is read.
  enum class Reading { kPread, kMapping };
  void fix_reading(Reading reading);
  [[nodiscard]] bool can_map() const;

  [[nodiscard]] std::span<const Shard> shards() const { return shards_; }
  /// Index of the shard that holds this id. REQUIRES 0 <= id < images().
  [[nodiscard]] std::size_t shard_of(std::int64_t id) const;
  /// Reads images [first, first+count) of one shard.
  void read_run(const Shard& shard, std::int64_t first, std::int64_t count,
                std::span<std::uint8_t> out) const;

 private:
  ShardSet(SourceInfo info, Split split, std::vector<Shard> shards);

  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool use_mapping(std::size_t images) const;
  void choose_reading() const;
  void fetch_bytes(const Shard& shard, std::int64_t begin, std::int64_t bytes) const;
  void read_by_pread(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const;
  template <typename Take>
  void gather(std::span<const std::int64_t> ids, const Take& take) const;

  Split split_;
  std::vector<Shard> shards_;
  mutable std::mutex hdf5_mutex_;
  mutable std::mutex choice_mutex_;
  mutable std::atomic<bool> mapping_is_faster_ = false;
  mutable std::atomic<bool> fetched_by_mapping_ = false;
  mutable std::atomic<std::int64_t> images_to_choice_ = 0;
  bool reading_is_fixed_ = false;
  /// Then what lies beside a run is fetched with it, in whole large pages: it is read soon anyway.
  bool fits_in_memory_ = false;
  mutable Clock::time_point next_choice_ = {};  ///< Guarded by choice_mutex_.
};

}  // namespace gondola
