#include "launch/benches/loader_controls.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "configs/errors.hpp"
#include "data/aligned_bytes.hpp"
#include "launch/benches/bench_figures.hpp"

namespace gondola {
namespace {

/// Reads the images of `ids`, cast to float32, on so many threads; `read(thread's buffer, id)`
/// reads one and says where it is. @return seconds
template <typename Read>
double control_seconds(std::span<const std::int64_t> ids, std::int64_t batch, std::int64_t threads,
                       std::size_t values, const Read& read) {
  struct Buffers {
    std::vector<std::uint8_t> image;
    AlignedBytes batch;
  };
  std::vector<Buffers> buffers;
  for (std::int64_t t = 0; t < threads; ++t) {
    const std::size_t bytes = static_cast<std::size_t>(batch) * values * sizeof(float);
    buffers.push_back({std::vector<std::uint8_t>(values), AlignedBytes(bytes)});
    std::memset(buffers.back().batch.data(), 0, bytes);
  }
  const auto work = [&](std::int64_t thread) {
    auto& [image, memory] = buffers[static_cast<std::size_t>(thread)];
    float* const out = reinterpret_cast<float*>(memory.data());
    const auto step = static_cast<std::size_t>(batch);
    for (std::size_t i = static_cast<std::size_t>(thread) * step; i < ids.size();
         i += static_cast<std::size_t>(threads) * step) {
      for (std::size_t j = 0; j < std::min(step, ids.size() - i); ++j) {
        const std::uint8_t* const pixels = read(image, ids[i + j]);
        for (std::size_t k = 0; k < values; ++k) {
          out[j * values + k] = static_cast<float>(pixels[k]);
        }
      }
    }
  };
  const auto start = Clock::now();
  std::vector<std::thread> others;
  for (std::int64_t t = 1; t < threads; ++t) {
    others.emplace_back(work, t);
  }
  work(0);
  for (auto& thread : others) {
    thread.join();
  }
  return seconds_since(start);
}

}  // namespace

RawImages::RawImages(const std::string& list) : set_(ShardSet::open(list, Split::kTrain)) {
  for (const auto& shard : set_->shards()) {
    if (!shard.mapping) {
      throw DataError(shard.path +
                      " keeps its images in chunks or packed, so there are no plain reads to "
                      "compare with; import it with gondola import hdf5");
    }
  }
}

double RawImages::pread_seconds(std::span<const std::int64_t> ids, std::int64_t batch,
                                std::int64_t threads) const {
  return control_seconds(
      ids, batch, threads, values(), [this](std::vector<std::uint8_t>& image, std::int64_t id) {
        const auto& shard = set_->shards()[set_->shard_of(id)];
        const auto offset = shard.offset_bytes + (id - shard.first_id) * set_->image_bytes();
        if (::pread(shard.file.get(), image.data(), image.size(), offset) !=
            static_cast<ssize_t>(image.size())) {
          std::memset(image.data(), 0, image.size());  // told by the loader
        }
        return image.data();
      });
}

double RawImages::mapping_seconds(std::span<const std::int64_t> ids, std::int64_t batch,
                                  std::int64_t threads) const {
  return control_seconds(
      ids, batch, threads, values(), [this](std::vector<std::uint8_t>&, std::int64_t id) {
        const auto& shard = set_->shards()[set_->shard_of(id)];
        return shard.mapping.data() + (id - shard.first_id) * set_->image_bytes();
      });
}

double evict(const std::string& list) {
  const auto set = ShardSet::open(list, Split::kTrain);
  double left = 0;
  for (const auto& shard : set->shards()) {
    (void)::fsync(shard.file.get());  // pages that are not on the disk yet cannot go
    (void)::posix_fadvise(shard.file.get(), 0, 0, POSIX_FADV_DONTNEED);
    left = std::max(left, shard.mapping.resident_part());
  }
  return left;
}

double sequential_seconds(const std::string& list) {
  const auto set = ShardSet::open(list, Split::kTrain);
  std::vector<std::uint8_t> buffer(std::size_t{1} << 22);
  const auto start = Clock::now();
  for (const auto& shard : set->shards()) {
    (void)::posix_fadvise(shard.file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    const std::int64_t end = shard.offset_bytes + shard.images * set->image_bytes();
    for (std::int64_t at = shard.offset_bytes; at < end;) {
      const auto count = ::pread(shard.file.get(), buffer.data(), buffer.size(), at);
      if (count <= 0) {
        throw IoError("cannot read " + shard.path + " at byte " + std::to_string(at) + ": " +
                      std::strerror(errno));
      }
      at += count;
    }
  }
  return seconds_since(start);
}

}  // namespace gondola
