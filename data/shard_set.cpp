#include "data/shard_set.hpp"

#include <fcntl.h>
#include <glob.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>
#include <utility>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/bus_error.hpp"
#include "data/checksum.hpp"
#include "data/gather.hpp"
#include "data/pixel_values.hpp"
#include "data/sample_order.hpp"

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

/// Images per second through HDF5, from a few images spread over the file.
double hdf5_rate(const DatasetFile& dataset, Split split) {
  const SplitInfo& info = *dataset.split(split);
  constexpr std::int64_t kSamples = 8;
  std::vector<std::uint8_t> image(static_cast<std::size_t>(info.image_bytes()));
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < kSamples; ++i) {
    dataset.read_images(split, i * 7919 % info.images, 1, image);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return static_cast<double>(kSamples) / std::max(seconds.count(), 1e-9);
}

/// What a foreign file does not store: sums of each pixel and the checksum, by reading it all once.
struct Scan {
  std::vector<std::uint64_t> sums;  ///< [C*H*W]
  std::string checksum;
};

Scan scan_images(const DatasetFile& dataset, Split split) {
  const SplitInfo& info = *dataset.split(split);
  const std::int64_t step =
      std::clamp<std::int64_t>((1 << 24) / info.image_bytes(), 1, info.images);
  std::vector<std::uint8_t> buffer(static_cast<std::size_t>(step * info.image_bytes()));
  Scan scan{std::vector<std::uint64_t>(static_cast<std::size_t>(info.image_bytes())), ""};
  Xxh3 checksum;
  for (std::int64_t first = 0; first < info.images; first += step) {
    const std::int64_t count = std::min(step, info.images - first);
    const auto part = std::span(buffer).first(static_cast<std::size_t>(count * info.image_bytes()));
    dataset.read_images(split, first, count, part);
    checksum.update(part.data(), part.size());
    for (std::size_t i = 0; i < part.size(); ++i) {
      scan.sums[i % scan.sums.size()] += part[i];
    }
  }
  scan.checksum = checksum.hex();
  return scan;
}

/// Whether a file lies on a file system that other machines serve. Where that is unknown: no.
bool is_remote(const std::string& path) {
  // statfs(2): NFS, SMB, CIFS, Lustre, GPFS, Ceph, BeeGFS, 9p, FUSE (sshfs and the like).
  constexpr std::uint32_t kRemoteTypes[] = {0x6969,     0x517B,     0xFF534D42, 0xFE534D42,
                                            0x0BD00BD0, 0x47504653, 0x00C36400, 0x19830326,
                                            0x01021997, 0x65735546};
  struct ::statfs status {};
  return ::statfs(path.c_str(), &status) == 0 &&
         std::find(std::begin(kRemoteTypes), std::end(kRemoteTypes),
                   static_cast<std::uint32_t>(status.f_type)) != std::end(kRemoteTypes);
}

/// Gathers what the shards of a set have in common, file by file.
class SetBuilder {
 public:
  SetBuilder(std::string list, Split split) : split_(split) { info_.name = std::move(list); }

  void add(const std::string& path) {
    const auto status = stat_of(path);
    auto dataset = std::make_unique<DatasetFile>(path);
    const SplitInfo* split = dataset->split(split_);
    if (split == nullptr) {
      return;
    }
    check_same(path, *split);
    add_images(*dataset, *split);
    add_shard(path, std::move(dataset), status);
  }

  SourceInfo finish_info() {
    for (const std::uint64_t sum : sums_) {
      info_.mean_image.push_back(static_cast<double>(sum) /
                                 (255.0 * static_cast<double>(info_.images)));
    }
    info_.fingerprint = fingerprint_.value();
    info_.name += std::string(" (") + split_name(split_) + ")";
    return std::move(info_);
  }

  std::vector<ShardSet::Shard> shards;

 private:
  void check_same(const std::string& path, const SplitInfo& split) {
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

  void add_images(const DatasetFile& dataset, const SplitInfo& split) {
    std::string checksum = split.images_checksum;
    std::string label_checksum = split.labels_checksum;
    const std::vector<std::int64_t> labels = dataset.read_labels(split_);
    if (split.mean_image.empty() || checksum.empty()) {
      warn_scanned(dataset);
      const Scan scan = scan_images(dataset, split_);
      checksum = scan.checksum;
      std::transform(sums_.begin(), sums_.end(), scan.sums.begin(), sums_.begin(), std::plus<>());
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
    const std::string identity = std::to_string(split.images) + "," +
                                 std::to_string(split.channels) + "," +
                                 std::to_string(split.height) + "," + std::to_string(split.width) +
                                 "," + checksum + "," + label_checksum + ";";
    fingerprint_.update(identity.data(), identity.size());
    info_.labels.insert(info_.labels.end(), labels.begin(), labels.end());
  }

  void add_shard(const std::string& path, std::unique_ptr<DatasetFile> dataset,
                 const struct ::stat& status) {
    const SplitInfo& split = *dataset->split(split_);
    ShardSet::Shard shard;
    shard.path = path;
    shard.first_id = info_.images;
    shard.images = split.images;
    shard.offset_bytes = split.offset_bytes;
    info_.images += split.images;
    if (split.contiguous) {
      shard.file = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!shard.file) {
        throw IoError("cannot open " + path + ": " + std::strerror(errno) +
                      (errno == EMFILE ? "; raise `ulimit -n` or merge shards" : ""));
      }
    }
    if (!split.contiguous || !raw_bytes_agree(*dataset, split_, shard.file)) {
      require_safe_hdf5(path);
      warn_slow(*dataset);
      shard.file.close();
      shard.hdf5 = std::move(dataset);
    } else {
      shard.watch = std::make_unique<FileWatch>(path, shard.file, status);
      shard.mapping =
          MappedFile(shard.file, shard.offset_bytes, shard.images * split.image_bytes());
    }
    shards.push_back(std::move(shard));
  }

  /// One sentence for the whole set, for the first file that had to be read.
  void warn_scanned(const DatasetFile& dataset) {
    if (std::exchange(warned_scanned_, true)) {
      return;
    }
    info_.warnings.push_back(dataset.path() +
                             " stores no mean image and checksums, so it (and any shard like it) "
                             "was read in full to make them; import it to open it faster");
  }

  /// One sentence for the whole set, for its first slow file.
  void warn_slow(const DatasetFile& dataset) {
    if (std::exchange(warned_slow_, true)) {
      return;
    }
    const auto rate = static_cast<std::int64_t>(hdf5_rate(dataset, split_));
    info_.warnings.push_back(
        dataset.path() +
        " keeps its images in chunks or packed, so one thread at a time reads them "
        "through HDF5, " +
        std::to_string(rate) +
        " images/s in a first try and often 3 to 30 times slower than a plain run of bytes; "
        "rewrite it with gondola import hdf5");
  }

  Split split_;
  SourceInfo info_;
  bool labelled_ = false;
  bool warned_scanned_ = false;
  bool warned_slow_ = false;
  std::vector<std::uint64_t> sums_;
  Xxh3 fingerprint_;
};

}  // namespace

std::vector<std::string> expand_paths(const std::string& list) {
  std::vector<std::string> paths;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string item = list.substr(begin, end - begin);
    begin = end + 1;
    if (item.find_first_of("*?[") == std::string::npos || std::filesystem::exists(item)) {
      paths.push_back(item);
      continue;
    }
    glob_t found{};
    const int result = ::glob(item.c_str(), 0, nullptr, &found);
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      paths.emplace_back(found.gl_pathv[i]);
    }
    ::globfree(&found);
    if (result != 0) {
      throw MissingInputError("no file fits " + item + "; check the path");
    }
  }
  return paths;
}

ShardSet::ShardSet(SourceInfo info, Split split, std::vector<Shard> shards)
    : ImageSource(std::move(info)), split_(split), shards_(std::move(shards)) {}

std::unique_ptr<ShardSet> ShardSet::open(const std::string& list, Split split) {
  SetBuilder builder(list, split);
  for (const std::string& path : expand_paths(list)) {
    builder.add(path);
  }
  if (builder.shards.empty()) {
    throw DataError(list + " has no " + split_name(split) +
                    " split; import the data with one, or name another dataset");
  }
  SourceInfo info = builder.finish_info();
  return std::unique_ptr<ShardSet>(new ShardSet(std::move(info), split, std::move(builder.shards)));
}

std::size_t ShardSet::shard_of(std::int64_t id) const {
  const auto after = std::upper_bound(
      shards_.begin(), shards_.end(), id,
      [](std::int64_t value, const Shard& shard) { return value < shard.first_id; });
  return static_cast<std::size_t>(after - shards_.begin()) - 1;
}

void ShardSet::read_run(const Shard& shard, std::int64_t first, std::int64_t count,
                        std::span<std::uint8_t> out) const {
  if (shard.file) {
    const std::int64_t offset = shard.offset_bytes + first * image_bytes();
    read_fully(shard.file.get(), shard.path, offset, out);
    constexpr std::int64_t kEveryMilliseconds = 500;  // on a network it is not free
    shard.watch->check(shard.file, offset + count * image_bytes(), kEveryMilliseconds);
    return;
  }
  const std::lock_guard lock(hdf5_mutex_);
  shard.hdf5->read_images(split_, first, count, out);
}

void ShardSet::read_by_pread(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const {
  for (std::size_t i = 0; i < ids.size();) {
    const Shard& shard = shards_[shard_of(ids[i])];
    std::size_t end = i + 1;  // neighbours in the file are read at one go
    while (end < ids.size() && ids[end] == ids[end - 1] + 1 &&
           ids[end] < shard.first_id + shard.images) {
      ++end;
    }
    const auto bytes = static_cast<std::size_t>(image_bytes());
    read_run(shard, ids[i] - shard.first_id, static_cast<std::int64_t>(end - i),
             out.subspan(i * bytes, (end - i) * bytes));
    i = end;
  }
}

/// Calls take(i, pixels of ids[i]) for every image, from the mappings. @throws DataError, IoError
template <typename Take>
void ShardSet::gather(std::span<const std::int64_t> ids, const Take& take) const {
  const auto place_of = [this](std::int64_t id) {
    const Shard& shard = shards_[shard_of(id)];
    return shard.mapping.data() + (id - shard.first_id) * image_bytes();
  };
  const bool all_read = survives_bus_error(
      [&] { gather_images(ids, static_cast<std::size_t>(image_bytes()), place_of, take); });
  // A page that reaches beyond the end of a cut file reads as zeros: the length must be looked at.
  for (std::size_t i = 0; i < ids.size();) {
    const Shard& shard = shards_[shard_of(ids[i])];
    std::int64_t last = ids[i];
    for (; i < ids.size() && ids[i] >= shard.first_id && ids[i] < shard.first_id + shard.images;
         ++i) {
      last = std::max(last, ids[i]);
    }
    constexpr std::int64_t kEveryMilliseconds = 4;
    shard.watch->check(shard.file, shard.offset_bytes + (last - shard.first_id + 1) * image_bytes(),
                       all_read ? kEveryMilliseconds : 0);
  }
  if (!all_read) {
    const Shard& shard = shards_[shard_of(ids.front())];
    throw IoError("the system cannot read pages of " + shard.path + " (or a shard beside it): " +
                  std::strerror(EIO) + "; look at the disk or network it lies on");
  }
}

bool ShardSet::can_map() const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [](const Shard& shard) { return static_cast<bool>(shard.mapping); });
}

void ShardSet::fix_reading(Reading reading) {
  mapping_is_faster_ = reading == Reading::kMapping && can_map();
  images_to_choice_ = std::numeric_limits<std::int64_t>::max();
}

bool ShardSet::use_mapping(std::size_t images) const {
  if (images_to_choice_.fetch_sub(static_cast<std::int64_t>(images), std::memory_order_relaxed) <=
      0) {
    const std::unique_lock lock(choice_mutex_, std::try_to_lock);
    if (lock && images_to_choice_ <= 0) {
      choose_reading();
      images_to_choice_ = this->images();
    }
  }
  return mapping_is_faster_.load(std::memory_order_relaxed);
}

/// Reads a few images spread over the set both ways, each way others, for what one has read the
/// other finds in the cache.
void ShardSet::choose_reading() const {
  mapping_is_faster_ = false;
  constexpr double kNearlyAll = 0.98;
  const bool resident =
      can_map() && std::all_of(shards_.begin(), shards_.end(), [](const Shard& shard) {
        return shard.mapping.resident_part() >= kNearlyAll;
      });
  if (!resident) {
    return;
  }
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 22;
  constexpr int kTrials = 3;
  const std::int64_t count = std::clamp<std::int64_t>(kMostBytes / image_bytes(), 1,
                                                      std::min<std::int64_t>(256, images()));
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * image_bytes()));
  const auto bytes = static_cast<std::size_t>(image_bytes());
  const KeyedPermutation somewhere(0, images());
  std::int64_t next = 0;
  const auto seconds_of = [&](const auto& read_them) {
    for (std::int64_t& id : ids) {
      id = somewhere(next++ % images());
    }
    const auto start = std::chrono::steady_clock::now();
    read_them();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  double by_pread = std::numeric_limits<double>::infinity(), by_mapping = by_pread;
  for (int trial = 0; trial < kTrials; ++trial) {
    by_pread = std::min(by_pread, seconds_of([&] { read_by_pread(ids, pixels); }));
    by_mapping = std::min(by_mapping, seconds_of([&] {
                            gather(ids, [&](std::size_t i, const std::uint8_t* image) {
                              std::memcpy(pixels.data() + i * bytes, image, bytes);
                            });
                          }));
  }
  mapping_is_faster_ = by_mapping <= by_pread;
}

void ShardSet::read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const {
  check_read(ids, out.size());
  if (!use_mapping(ids.size())) {
    read_by_pread(ids, out);
    return;
  }
  const auto bytes = static_cast<std::size_t>(image_bytes());
  gather(ids, [&](std::size_t i, const std::uint8_t* image) {
    std::memcpy(out.data() + i * bytes, image, bytes);
  });
}

void ShardSet::read_values(std::span<const std::int64_t> ids, std::span<float> out) const {
  check_read(ids, out.size());
  if (!use_mapping(ids.size())) {
    ImageSource::read_values(ids, out);
    return;
  }
  const auto bytes = static_cast<std::size_t>(image_bytes());
  gather(ids, [&](std::size_t i, const std::uint8_t* image) {
    bytes_to_values({image, bytes}, out.subspan(i * bytes, bytes));
  });
}

void ShardSet::expect(std::int64_t first, std::int64_t images) const {
  const std::int64_t end = first + images;
  while (first < end) {
    const Shard& shard = shards_[shard_of(first)];
    const std::int64_t place = first - shard.first_id;
    const std::int64_t count = std::min(end - first, shard.images - place);
    if (shard.file && !mapping_is_faster_.load(std::memory_order_relaxed)) {
      // Advice: what fails here is read all the same, later.
      (void)::posix_fadvise(shard.file.get(), shard.offset_bytes + place * image_bytes(),
                            count * image_bytes(), POSIX_FADV_WILLNEED);
    }
    first += count;
  }
}

ImageStorage ShardSet::storage() const {
  auto slowest = ImageStorage::kLocalBytes;
  for (const Shard& shard : shards_) {
    auto storage = ImageStorage::kLocalBytes;
    if (is_remote(shard.path)) {
      storage = ImageStorage::kRemote;
    } else if (!shard.file) {
      storage = ImageStorage::kPacked;
    }
    slowest = std::max(slowest, storage);
  }
  return slowest;
}

void ShardSet::forget() const {
  for (const Shard& shard : shards_) {
    if (shard.file) {
      (void)::posix_fadvise(shard.file.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
  }
}

}  // namespace gondola
