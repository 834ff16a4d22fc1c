#include "launch/benches/memory_bench.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "configs/errors.hpp"
#include "data/image_source.hpp"
#include "launch/benches/bench_figures.hpp"
#include "launch/benches/bench_trainee.hpp"
#include "trainer/evaluation/evaluate.hpp"

namespace gondola {
namespace {

/// A line of /proc/self/status in bytes.
std::int64_t status_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  throw ConfigError("gondola bench memory reads " + name +
                    " in /proc/self/status, which this system does not have");
}

/// Freed memory goes back to the system, so that what a case needs is seen whole.
void give_back_freed_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

/// The most that one step added while it ran, in bytes: its images, held as u8, are there before.
std::int64_t growth_of_step(RunConfig config, std::int64_t images, std::int64_t side) {
  const auto size = std::to_string(side);
  const auto source = open_source("synthetic:" + std::to_string(images) + "x1x" + size + "x" + size,
                                  Split::kTrain, CacheKind::kNone);
  config.trainer.batch_size = images;
  BenchTrainee trainee(config, {.channels = 1, .height = side, .width = side});
  std::vector<std::int64_t> ids(static_cast<std::size_t>(images));
  std::iota(ids.begin(), ids.end(), 0);
  const StepInput input{.view = {.pixels = read_pixels(*source, ids)}, .ids = ids};
  give_back_freed_memory();
  const auto before = status_bytes("VmRSS");
  std::ofstream("/proc/self/clear_refs") << 5;  // VmHWM starts anew
  trainee.step(input, 1e-4);
  return status_bytes("VmHWM") - before;
}

}  // namespace

void bench_memory(const RunConfig& config,
                  const std::function<void(const std::string&)>& print_line) {
  if (config.model.decoder != DecoderKind::kSiren) {
    throw ConfigError(
        "gondola bench memory is for model.decoder = siren, whose gradients are made in tiles: "
        "leave that option as it is");
  }
  constexpr std::int64_t kLargeImages = 8;
  (void)growth_of_step(config, 2, 16);  // what a process needs once
  std::int64_t of_128 = 0;
  for (const std::int64_t side : {28, 128, 1024}) {
    const auto images = side == 28 ? config.trainer.batch_size : kLargeImages;
    const auto start = Clock::now();
    const auto growth = growth_of_step(config, images, side);
    nlohmann::ordered_json json = {{"bench", "memory"},
                                   {"image", text_of(ImageShape{1, side, side})},
                                   {"batch_size", images},
                                   {"growth_bytes", growth},
                                   {"seconds", seconds_since(start)}};
    if (side == 128) of_128 = growth;
    if (side > 128) {
      json["ratio_to_128x128"] =
          static_cast<double>(growth) / static_cast<double>(std::max<std::int64_t>(of_128, 1));
    }
    print_line(json.dump());
  }
}

}  // namespace gondola
