#include "data/shard_set.hpp"

#include <fcntl.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <iterator>
#include <limits>
#include <utility>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/available_memory.hpp"
#include "data/bus_error.hpp"
#include "data/expand_paths.hpp"
#include "data/gather.hpp"
#include "data/page_cache.hpp"
#include "data/pixel_values.hpp"
#include "data/sample_order.hpp"
#include "data/shard_builder.hpp"

namespace gondola {
namespace {

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

/// Processor time of this thread: what others do on its core is not in it.
double thread_seconds() {
  ::timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

ShardSet::ShardSet(SourceInfo info, Split split, std::vector<Shard> shards)
    : ImageSource(std::move(info)), split_(split), shards_(std::move(shards)) {
  for (Shard& shard : shards_) {
    shard.remote = is_remote(shard.path);
  }
  fits_in_memory_ = images() * image_bytes() <= available_memory_bytes() / 4;
}

std::unique_ptr<ShardSet> ShardSet::open(const std::string& list, Split split) {
  ShardBuilder builder(list, split);
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
  constexpr std::int64_t kEveryMilliseconds = 500;  // on a network it is not free
  if (shard.file) {
    const std::int64_t offset = shard.offset_bytes + first * image_bytes();
    read_fully(shard.file.get(), shard.path, offset, out);
    shard.watch->check(shard.file, offset + count * image_bytes(), kEveryMilliseconds);
    return;
  }
  const std::lock_guard lock(hdf5_mutex_);
  shard.hdf5->read_images(split_, first, count, out);
  shard.watch->check(shard.watched, /*end_byte=*/0, kEveryMilliseconds);
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
  fetched_by_mapping_ = false;
  images_to_choice_ = std::numeric_limits<std::int64_t>::max();
  reading_is_fixed_ = true;
}

bool ShardSet::use_mapping(std::size_t images) const {
  if (fetched_by_mapping_.load(std::memory_order_relaxed)) {
    return true;
  }
  if (images_to_choice_.fetch_sub(static_cast<std::int64_t>(images), std::memory_order_relaxed) <=
      0) {
    const std::unique_lock lock(choice_mutex_, std::try_to_lock);
    if (lock && images_to_choice_ <= 0) {
      constexpr double kShare = 50;  // a trial takes no more than this part of the time
      if (Clock::now() >= next_choice_) {
        const double start = thread_seconds();
        choose_reading();
        next_choice_ =
            Clock::now() + std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(kShare * (thread_seconds() - start)));
      }
      images_to_choice_ = this->images();
    }
  }
  return mapping_is_faster_.load(std::memory_order_relaxed);
}

/// Reads a few images spread over the set both ways, each way others, for what one has read the
/// other finds in the cache; nothing is waited for, so processor time is what counts. That a page
/// is seen for the first time costs a mapping much, and only once, so it is not counted.
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
  std::atomic<unsigned> seen = 0;
  const auto touch = [&](std::size_t, const std::uint8_t* image) {
    constexpr std::size_t kPageBytes = 4096;
    unsigned sum = image[bytes - 1];
    for (std::size_t at = 0; at < bytes; at += kPageBytes) sum += image[at];
    seen.fetch_add(sum, std::memory_order_relaxed);  // or the compiler leaves the reads out
  };
  const auto seconds_of = [&](const auto& read_them) {
    for (std::int64_t& id : ids) {
      id = somewhere(next++ % images());
    }
    gather(ids, touch);
    const double start = thread_seconds();
    read_them();
    return thread_seconds() - start;
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

void ShardSet::pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
                    std::span<std::uint8_t> out) const {
  check_pick(ids, pixels, out.size());
  if (!use_mapping(ids.size())) {
    ImageSource::pick(ids, pixels, out);
    return;
  }
  const auto picked = static_cast<std::size_t>(channels()) * pixels.size();
  gather(ids, [&](std::size_t i, const std::uint8_t* image) {
    pick_of_image(image, pixels, out.data() + i * picked);
  });
}

void ShardSet::fetch_bytes(const Shard& shard, std::int64_t begin, std::int64_t bytes) const {
  if (shard.mapping.holds(begin, bytes)) return;
  if (!shard.remote && shard.mapping.fetch(begin, bytes)) {
    if (can_map() && !reading_is_fixed_) fetched_by_mapping_ = true;
  } else {
    read_into_page_cache(shard.file, begin, bytes);
  }
}

void ShardSet::fetch(std::int64_t first, std::int64_t images) const {
  const std::int64_t end = first + images;
  while (first < end) {
    const Shard& shard = shards_[shard_of(first)];
    const std::int64_t place = first - shard.first_id;
    const std::int64_t count = std::min(end - first, shard.images - place);
    if (shard.file) {
      std::int64_t begin = shard.offset_bytes + place * image_bytes();
      std::int64_t end_byte = begin + count * image_bytes();
      if (fits_in_memory_) {
        constexpr std::int64_t kLargePageBytes = std::int64_t{2} << 20;
        begin = begin / kLargePageBytes * kLargePageBytes;
        end_byte = std::min(shard.offset_bytes + shard.images * image_bytes(),
                            (end_byte + kLargePageBytes - 1) / kLargePageBytes * kLargePageBytes);
      }
      fetch_bytes(shard, begin, end_byte - begin);
    }
    first += count;
  }
}

ImageStorage ShardSet::storage() const {
  auto slowest = ImageStorage::kLocalBytes;
  for (const Shard& shard : shards_) {
    auto storage = ImageStorage::kLocalBytes;
    if (shard.remote) {
      storage = ImageStorage::kRemote;
    } else if (!shard.file) {
      storage = ImageStorage::kPacked;
    }
    slowest = std::max(slowest, storage);
  }
  return slowest;
}

void ShardSet::forget() const {
  fetched_by_mapping_ = false;
  for (const Shard& shard : shards_) {
    if (shard.file) {
      (void)::posix_fadvise(shard.file.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
  }
}

}  // namespace gondola
