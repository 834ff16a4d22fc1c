#include "data/shard_builder.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <utility>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/read_cost.hpp"

namespace gondola {
namespace {

/// Whether pread at the offset gives the images that HDF5 gives: the first, the middle and the
/// last.
bool raw_bytes_agree(const DatasetFile& dataset, Split split, const FileDescriptor& file) {
  const SplitInfo& info = *dataset.split(split);
  std::vector<std::uint8_t> through_hdf5(static_cast<std::size_t>(info.image_bytes()));
  std::vector<std::uint8_t> raw(through_hdf5.size());
  for (const std::int64_t image : {std::int64_t{0}, info.images / 2, info.images - 1}) {
    dataset.read_images(split, image, 1, through_hdf5);
    read_fully(file.get(), dataset.path(), info.offset_bytes + image * info.image_bytes(), raw);
    if (raw != through_hdf5) {
      return false;
    }
  }
  return true;
}

/// Reader threads go through HDF5 beside the main thread's checkpoints and test images: a library
/// built without thread safety would break either. @throws DataError
void require_safe_hdf5(const std::string& path) {
  hbool_t safe = false;
  if (H5is_library_threadsafe(&safe) < 0 || !safe) {
    throw DataError(path +
                    " keeps its images in chunks or packed, which several threads cannot read "
                    "through the HDF5 library of this program, built without thread safety; "
                    "rewrite it with gondola import hdf5");
  }
}

}  // namespace

ShardBuilder::ShardBuilder(std::string list, Split split) : split_(split) {
  info_.name = std::move(list);
}

void ShardBuilder::add(const std::string& path) {
  const auto status = stat_of(path);
  std::optional<ForeignScan> scan;
  if (!metadata_has_checksums(path)) {
    scan = scan_foreign(path, split_);  // before anything of it is opened here
    if (!scan) return;
  }
  auto dataset = std::make_unique<DatasetFile>(path);
  const SplitInfo* split = dataset->split(split_);
  if (split == nullptr) return;
  if (!dataset->header().native && !scan) scan = scan_foreign(path, split_);
  const bool is_known =
      scan ? std::ssize(scan->sums) == split->image_bytes() : dataset->header().native;
  if (!is_known) {
    throw DataError(path + " changed while it was read, or is damaged; copy or make it again");
  }
  check_same(path, *split);
  add_images(*dataset, *split, scan);
  add_shard(path, std::move(dataset), status);
}

SourceInfo ShardBuilder::finish_info() {
  for (const std::uint64_t sum : sums_) {
    info_.mean_image.push_back(static_cast<double>(sum) /
                               (255.0 * static_cast<double>(info_.images)));
  }
  if (!slow_.empty()) {
    info_.warnings.push_back(slow_warning_);
  } else if (!scanned_.empty()) {
    info_.warnings.push_back(
        scanned_ +
        " was not made by gondola import and stores no mean image and checksum, so it (and any "
        "shard like it) was read in full to make them; gondola import hdf5 makes a file that opens "
        "at once");
  }
  info_.fingerprint = fingerprint_.value();
  info_.name += std::string(" (") + split_name(split_) + ")";
  return std::move(info_);
}

void ShardBuilder::check_same(const std::string& path, const SplitInfo& split) {
  if (shards.empty()) {
    info_.channels = split.channels;
    info_.height = split.height;
    info_.width = split.width;
    labelled_ = split.has_labels;
    sums_.assign(static_cast<std::size_t>(split.image_bytes()), 0);
    return;
  }
  const auto text = [](std::int64_t c, std::int64_t h, std::int64_t w) {
    return std::to_string(c) + "x" + std::to_string(h) + "x" + std::to_string(w);
  };
  const std::string mine = text(split.channels, split.height, split.width);
  const std::string theirs = text(info_.channels, info_.height, info_.width);
  if (mine != theirs) {
    throw DataError(path + " has images of " + mine + " but " + shards.front().path +
                    " of the same dataset has " + theirs + "; import them at one size");
  }
  if (split.has_labels != labelled_) {
    throw DataError((labelled_ ? path : shards.front().path) + " has no labels but " +
                    (labelled_ ? shards.front().path : path) +
                    " of the same dataset has; import all shards alike");
  }
}

void ShardBuilder::add_images(const DatasetFile& dataset, const SplitInfo& split,
                              const std::optional<ForeignScan>& scan) {
  std::string checksum = split.images_checksum;
  std::string label_checksum = split.labels_checksum;
  const std::vector<std::int64_t> labels = dataset.read_labels(split_);
  if (scan) {
    if (scanned_.empty()) scanned_ = dataset.path();
    checksum = scan->checksum;
    std::transform(sums_.begin(), sums_.end(), scan->sums.begin(), sums_.begin(), std::plus<>());
  } else {
    // Undoing the division gives the integer sums again, so shards add up to what one file has.
    const double scale = 255.0 * static_cast<double>(split.images);
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      sums_[i] += static_cast<std::uint64_t>(std::llround(split.mean_image[i] * scale));
    }
  }
  if (label_checksum.empty()) {
    Xxh3 sum;
    sum.update(labels.data(), labels.size() * sizeof(std::int64_t));
    label_checksum = sum.hex();
  }
  const std::string identity = std::to_string(split.images) + "," + std::to_string(split.channels) +
                               "," + std::to_string(split.height) + "," +
                               std::to_string(split.width) + "," + checksum + "," + label_checksum +
                               ";";
  fingerprint_.update(identity.data(), identity.size());
  info_.labels.insert(info_.labels.end(), labels.begin(), labels.end());
}

void ShardBuilder::add_shard(const std::string& path, std::unique_ptr<DatasetFile> dataset,
                             const struct ::stat& status) {
  const SplitInfo& split = *dataset->split(split_);
  ShardSet::Shard shard;
  shard.path = path;
  shard.first_id = info_.images;
  shard.images = split.images;
  shard.offset_bytes = split.offset_bytes;
  info_.images += split.images;
  shard.file = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!shard.file) {
    throw IoError("cannot open " + path + ": " + std::strerror(errno) +
                  (errno == EMFILE ? "; raise `ulimit -n` or merge shards" : ""));
  }
  shard.watch = std::make_unique<FileWatch>(path, shard.file, status);
  if (!split.contiguous || !raw_bytes_agree(*dataset, split_, shard.file)) {
    require_safe_hdf5(path);
    note_slow(*dataset);
    shard.watched = std::exchange(shard.file, FileDescriptor());
    shard.hdf5 = std::move(dataset);
  } else {
    shard.mapping = MappedFile(shard.file, shard.offset_bytes, shard.images * split.image_bytes());
  }
  shards.push_back(std::move(shard));
}

/// The first such file of the set makes its warning.
void ShardBuilder::note_slow(const DatasetFile& dataset) {
  if (!slow_.empty()) return;
  slow_ = dataset.path();
  const ReadCost cost = measure_read_cost(dataset, split_);
  char measured[160];
  std::snprintf(
      measured, sizeof(measured),
      "%.1f times slower than plain bytes (%.0f images/s against %.0f, measured just now)",
      cost.factor(), cost.images_per_second, cost.plain_images_per_second);
  const std::string why =
      dataset.header().native
          ? " keeps its images in chunks or packed, so"
          : " was not made by gondola import, so it was read in full to know its mean image, and";
  slow_warning_ = slow_ + why + " one thread at a time reads it through HDF5, " + measured +
                  "; make it a plain file with gondola import hdf5 --input " + slow_;
}

}  // namespace gondola
