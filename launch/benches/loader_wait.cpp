#include "launch/benches/loader_wait.hpp"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <memory>
#include <vector>

#include "data/batch_loader.hpp"
#include "data/image_source.hpp"
#include "launch/benches/bench_figures.hpp"
#include "launch/benches/bench_trainee.hpp"

namespace gondola {

nlohmann::ordered_json bench_loader_wait(const RunConfig& config, const std::string& path) {
  const auto source = open_source(path, Split::kTrain, config.data.cache);
  const auto shape = shape_of(*source);
  BatchLoader loader(*source, {.shuffle = config.data.shuffle,
                               .block_images = config.data.block_images,
                               .seed = config.run.seed,
                               .batch_size = config.trainer.batch_size,
                               .reader_threads = config.data.reader_threads,
                               .prefetch_batches = config.data.prefetch_batches});
  BenchTrainee trainee(config, shape);

  std::vector<double> waits, steps, shares;
  for (std::int64_t number = 0; number <= config.bench.repeats; ++number) {
    const auto start = Clock::now();
    const auto batch = loader.next();
    const double waited = seconds_since(start);
    const auto pixels =
        torch::from_blob(const_cast<std::uint8_t*>(batch.pixels.data()),
                         {batch.images, shape.channels, shape.height, shape.width}, torch::kUInt8);
    trainee.step({.view = {.pixels = pixels}, .ids = batch.ids}, config.optimizer.learning_rate);
    const double all = seconds_since(start);
    if (number == 0) continue;  // the first waits for threads to start and memory to come
    waits.push_back(waited);
    steps.push_back(all);
    shares.push_back(waited / all);
  }
  return {{"bench", "loader"},
          {"case", "training step"},
          {"decoder", config.model.decoder == DecoderKind::kConv ? "conv" : "siren"},
          {"image", text_of(shape)},
          {"batch_size", config.trainer.batch_size},
          {"compute_threads", at::get_num_threads()},
          {"reader_threads", config.data.reader_threads},
          {"steps", config.bench.repeats},
          {"step_seconds", spread(steps)},
          {"wait_seconds", spread(waits)},
          {"share_waiting", spread(shares)}};
}

}  // namespace gondola
