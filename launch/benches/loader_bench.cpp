#include "launch/benches/loader_bench.hpp"

#include <algorithm>
#include <ctime>
#include <vector>

#include "configs/errors.hpp"
#include "configs/value_text.hpp"
#include "data/batch_loader.hpp"
#include "launch/benches/bench_figures.hpp"
#include "launch/benches/loader_controls.hpp"
#include "launch/benches/loader_wait.hpp"
#include "launch/benches/noise_file.hpp"

namespace gondola {
namespace {

struct LoaderCase {
  Shuffle shuffle;
  CacheKind cache;
  std::int64_t threads;
};

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
          {"image", text_of(shape_of(*source))},
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
    image = text_of(shape_of(*source));
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

struct Cases {
  std::vector<Shuffle> shuffles;
  std::vector<CacheKind> caches;
  std::vector<std::int64_t> threads;
};

Cases cases_of(const RunConfig& config, std::optional<Shuffle> shuffle) {
  Cases cases{.shuffles = {Shuffle::kFull, Shuffle::kBlocks, Shuffle::kNone},
              .caches = {CacheKind::kNone, CacheKind::kHost},
              .threads = {1, 2}};
  if (shuffle) cases.shuffles = {*shuffle};
  if (config.data.cache != CacheKind::kAuto) cases.caches = {config.data.cache};
  if (config.bench.threads > 0) cases.threads = {config.bench.threads};
  return cases;
}

void bench_dataset(const RunConfig& config, const std::string& path, const Cases& cases,
                   const std::function<void(const std::string&)>& print) {
  require_a_batch(*ShardSet::open(path, Split::kTrain), config.trainer.batch_size);
  const bool blocks = std::ranges::count(cases.shuffles, Shuffle::kBlocks) > 0;
  const bool from_files = std::ranges::count(cases.caches, CacheKind::kNone) > 0;
  if (blocks && from_files) print(cold_case(config, path).dump());
  const RawImages raw(path);
  for (const auto threads : cases.threads) {
    for (const auto shuffle : cases.shuffles) {
      for (const auto cache : cases.caches) {
        print(warm_case(config, path, raw, {shuffle, cache, threads}).dump());
      }
    }
  }
}

}  // namespace

void bench_loader(const RunConfig& config, std::optional<Shuffle> shuffle,
                  const std::function<void(const std::string&)>& print) {
  const auto cases = cases_of(config, shuffle);
  const auto bench = [&](const std::string& path, const RunConfig& trained) {
    bench_dataset(config, path, cases, print);
    if (!shuffle) print(bench_loader_wait(trained, path).dump());
  };
  if (!config.data.path.empty()) {
    if (config.data.path.starts_with("synthetic:")) {
      throw ConfigError("gondola bench loader reads files, and " + config.data.path +
                        " is made, not read: name a dataset file, or leave --data.path out");
    }
    bench(config.data.path, config);
    return;
  }
  auto siren = config, conv = config;
  siren.model.decoder = DecoderKind::kSiren;
  siren.model.activation = ActivationKind::kSin;
  conv.model.decoder = DecoderKind::kConv;
  conv.model.activation = ActivationKind::kElu;
  const auto bench_noise = [&](std::int64_t images, const ImageShape& shape,
                               const RunConfig& trained) {
    const NoiseFile file(images, shape);
    bench(file.path(), trained);
  };
  bench_noise(60000, {.channels = 1, .height = 28, .width = 28}, siren);
  bench_noise(60000, {.channels = 3, .height = 64, .width = 64}, conv);
}

}  // namespace gondola
