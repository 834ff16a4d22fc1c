#include "launch/loader_bench.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "configs/errors.hpp"
#include "configs/value_text.hpp"
#include "data/batch_loader.hpp"
#include "data/dataset_file.hpp"
#include "data/dataset_writer.hpp"
#include "data/mapped_file.hpp"
#include "data/shard_set.hpp"
#include "launch/bench_figures.hpp"

namespace gondola {
namespace {

/// A folder of its own among the temporary files, removed with what is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::temp_directory_path() / "gondola-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      throw IoError("cannot make the folder " + name + ": " + std::strerror(errno) +
                    "; name another place with TMPDIR");
    }
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A dataset file of noise in a folder of its own, gone with this object.
class NoiseFile {
 public:
  NoiseFile(std::int64_t images, const ImageShape& shape) {
    DatasetPlan plan{};
    plan.name = "noise";
    plan.channels = shape.channels;
    plan.height = shape.height;
    plan.width = shape.width;
    plan.train_images = images;
    DatasetWriter writer(path(), plan);
    const std::int64_t bytes = shape.channels * shape.height * shape.width;
    std::vector<std::uint8_t> part;
    constexpr std::int64_t kPart = 1000;
    std::uint64_t state = 1;
    for (std::int64_t first = 0; first < images; first += kPart) {
      part.resize(static_cast<std::size_t>(std::min(kPart, images - first) * bytes));
      for (std::uint8_t& byte : part) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        byte = static_cast<std::uint8_t>(state >> 56);
      }
      writer.write(Split::kTrain, first, part);
    }
    writer.commit({}, {}, {});
  }
  [[nodiscard]] std::string path() const { return folder_.path() / "noise.h5"; }

 private:
  TemporaryFolder folder_;
};

struct LoaderCase {
  Shuffle shuffle;
  CacheKind cache;
  std::int64_t threads;
};

/// Reads the images of `ids`, cast to float32, on so many threads; `read(thread's buffer, id, out)`
/// reads one. @return seconds
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

/// The files of a dataset as the controls see them: descriptors and plain mappings.
class RawImages {
 public:
  explicit RawImages(const std::string& list) : set_(ShardSet::open(list, Split::kTrain)) {
    for (const auto& shard : set_->shards()) {
      if (!shard.mapping) {
        throw DataError(shard.path +
                        " keeps its images in chunks or packed, so there are no plain reads to "
                        "compare with; import it with gondola import hdf5");
      }
    }
  }
  [[nodiscard]] const ShardSet& set() const { return *set_; }
  [[nodiscard]] std::size_t values() const { return static_cast<std::size_t>(set_->image_bytes()); }

  double pread_seconds(std::span<const std::int64_t> ids, std::int64_t batch,
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

  double mapping_seconds(std::span<const std::int64_t> ids, std::int64_t batch,
                         std::int64_t threads) const {
    return control_seconds(
        ids, batch, threads, values(), [this](std::vector<std::uint8_t>&, std::int64_t id) {
          const auto& shard = set_->shards()[set_->shard_of(id)];
          return shard.mapping.data() + (id - shard.first_id) * set_->image_bytes();
        });
  }

 private:
  std::unique_ptr<ShardSet> set_;
};

std::string shape_text(const ImageSource& source) {
  return image_text(
      {.channels = source.channels(), .height = source.height(), .width = source.width()});
}

LoaderOptions options_of(const RunConfig& config, const LoaderCase& now) {
  return {.shuffle = now.shuffle,
          .block_images = config.data.block_images,
          .seed = config.run.seed,
          .batch_size = config.trainer.batch_size,
          .reader_threads = now.threads - 1,  // the thread that takes the batches reads along
          .prefetch_batches = config.data.prefetch_batches,
          .pixels = PixelForm::kValues};
}

/// Processor time of all threads of this process.
double cpu_seconds() {
  ::timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Seconds of the loader's first `batches` batches of an epoch, from nothing read ahead.
double loader_seconds(BatchLoader& loader, std::int64_t epoch, std::int64_t batches) {
  const auto start = Clock::now();
  loader.seek({epoch, 0});
  for (std::int64_t i = 0; i < batches; ++i) {
    (void)loader.next();
  }
  return seconds_since(start);
}

/// Images of the first `batches` batches in the order of this epoch.
std::vector<std::int64_t> ids_of(const BatchLoader& loader, std::int64_t epoch,
                                 std::int64_t batches) {
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < batches; ++i) {
    const auto batch = loader.global_ids({epoch, i});
    ids.insert(ids.end(), batch.begin(), batch.end());
  }
  return ids;
}

nlohmann::ordered_json warm_case(const RunConfig& config, const std::string& path,
                                 const RawImages& raw, const LoaderCase& now) {
  const auto source = open_source(path, Split::kTrain, now.cache);
  BatchLoader loader(*source, options_of(config, now));
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 28;  // a repeat need not read more
  const std::int64_t batch = config.trainer.batch_size;
  const std::int64_t batches = std::clamp<std::int64_t>(
      kMostBytes / (batch * source->image_bytes()), 1, loader.batches_per_epoch());
  const auto images = static_cast<double>(batches * batch);

  std::vector<double> own_cpu, mapping_cpu;
  std::vector<double> own, ratio_to_pread, ratio_to_mapping, pread_rates, mapping_rates;
  for (std::int64_t repeat = -1; repeat < config.bench.repeats; ++repeat) {
    const std::int64_t epoch = repeat + 1;
    const auto ids = ids_of(loader, epoch, batches);
    const double pread = raw.pread_seconds(ids, batch, now.threads);
    const double cpu_before = cpu_seconds();
    const double mine = loader_seconds(loader, epoch, batches);
    const double cpu_between = cpu_seconds();
    const double mapping = raw.mapping_seconds(ids, batch, now.threads);
    const double cpu_after = cpu_seconds();
    if (repeat < 0) continue;  // the caches are warm now
    own.push_back(images / mine);
    own_cpu.push_back((cpu_between - cpu_before) / images);
    mapping_cpu.push_back((cpu_after - cpu_between) / images);
    pread_rates.push_back(images / pread);
    mapping_rates.push_back(images / mapping);
    ratio_to_pread.push_back(pread / mine);
    ratio_to_mapping.push_back(mapping / mine);
  }
  const bool mapping_is_better = median(mapping_rates) >= median(pread_rates);
  return {{"bench", "loader"},
          {"image", shape_text(*source)},
          {"images", source->images()},
          {"batch_size", batch},
          {"shuffle", to_text(now.shuffle)},
          {"cache", to_text(now.cache)},
          {"cache_state", "warm"},
          {"threads", now.threads},
          {"repeats", config.bench.repeats},
          {"images_per_second", spread(own)},
          {"bytes_per_second", median(own) * static_cast<double>(source->image_bytes())},
          {"pread_images_per_second", median(pread_rates)},
          {"mmap_images_per_second", median(mapping_rates)},
          {"cpu_seconds_per_million_images", 1e6 * median(own_cpu)},
          {"mmap_cpu_seconds_per_million_images", 1e6 * median(mapping_cpu)},
          {"control", mapping_is_better ? "mmap" : "pread"},
          {"ratio_to_pread", spread(ratio_to_pread)},
          {"ratio_to_control", spread(mapping_is_better ? ratio_to_mapping : ratio_to_pread)}};
}

/// Drops the files of a dataset from the page cache. REQUIRES that this process maps none of it.
/// @return the largest part of any that stayed there all the same
double evict(const std::string& path) {
  const auto set = ShardSet::open(path, Split::kTrain);
  double left = 0;
  for (const auto& shard : set->shards()) {
    (void)::fsync(shard.file.get());  // pages that are not on the disk yet cannot go
    (void)::posix_fadvise(shard.file.get(), 0, 0, POSIX_FADV_DONTNEED);
    left = std::max(left, shard.mapping.resident_part());
  }
  return left;
}

/// Seconds to read the images of a dataset from its files in their order, in large pieces.
double sequential_seconds(const std::string& path) {
  const auto set = ShardSet::open(path, Split::kTrain);
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

/// One epoch of blocks from a file that is not in memory, against reading it from end to end.
nlohmann::ordered_json cold_case(const RunConfig& config, const std::string& path) {
  std::vector<double> own, sequential, ratios;
  double left = 0;
  std::int64_t epoch_images = 0, image_bytes = 0, threads = 0;
  std::string image;
  for (std::int64_t repeat = 0; repeat < config.bench.repeats; ++repeat) {
    left = std::max(left, evict(path));
    const double control = sequential_seconds(path);
    left = std::max(left, evict(path));
    const auto source = open_source(path, Split::kTrain, CacheKind::kNone);
    threads = std::max<std::int64_t>(1, config.data.reader_threads) + 1;
    const auto start = Clock::now();
    BatchLoader loader(*source, options_of(config, {Shuffle::kBlocks, CacheKind::kNone, threads}));
    const std::int64_t batches = loader.batches_per_epoch();
    for (std::int64_t i = 0; i < batches; ++i) {
      (void)loader.next();
    }
    const double mine = seconds_since(start);
    epoch_images = batches * config.trainer.batch_size;
    image_bytes = source->image_bytes();
    image = shape_text(*source);
    const double all = static_cast<double>(source->images());
    own.push_back(static_cast<double>(epoch_images) / mine);
    sequential.push_back(all / control);
    ratios.push_back(own.back() / sequential.back());
  }
  return {{"bench", "loader"},
          {"image", image},
          {"images", epoch_images},
          {"batch_size", config.trainer.batch_size},
          {"shuffle", "blocks"},
          {"block_images", config.data.block_images},
          {"cache", "none"},
          {"cache_state", "cold"},
          {"left_in_page_cache", left},
          {"threads", threads},
          {"repeats", config.bench.repeats},
          {"images_per_second", spread(own)},
          {"bytes_per_second", median(own) * static_cast<double>(image_bytes)},
          {"control", "sequential read"},
          {"control_bytes_per_second", median(sequential) * static_cast<double>(image_bytes)},
          {"ratio_to_control", spread(ratios)}};
}

void bench_dataset(const RunConfig& config, const std::string& path,
                   const std::function<void(const std::string&)>& print) {
  require_a_batch(*ShardSet::open(path, Split::kTrain), config.trainer.batch_size);
  const auto cold = cold_case(config, path);
  const RawImages raw(path);
  for (const std::int64_t threads : {1, 2}) {
    for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kBlocks, Shuffle::kNone}) {
      for (const CacheKind cache : {CacheKind::kNone, CacheKind::kHost}) {
        print(warm_case(config, path, raw, {shuffle, cache, threads}).dump());
      }
    }
  }
  print(cold.dump());
}

}  // namespace

void bench_loader(const RunConfig& config, const std::function<void(const std::string&)>& print) {
  if (!config.data.path.empty()) {
    bench_dataset(config, config.data.path, print);
    return;
  }
  for (const auto& [images, shape] :
       {std::pair<std::int64_t, ImageShape>{60000, {.channels = 1, .height = 28, .width = 28}},
        std::pair<std::int64_t, ImageShape>{20000, {.channels = 3, .height = 64, .width = 64}}}) {
    const NoiseFile file(images, shape);
    bench_dataset(config, file.path(), print);
  }
}

}  // namespace gondola
