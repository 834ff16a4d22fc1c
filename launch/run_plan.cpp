#include "launch/run_plan.hpp"

#include <cstdio>

#include "configs/option_table.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/model.hpp"
#include "trainer/training_loop.hpp"

namespace gondola {

namespace {

/// As printf's %g with so many digits.
std::string number(double value, int digits = 6) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*g", digits, value);
  return text;
}

std::string count(std::int64_t value, const std::string& noun) {
  return std::to_string(value) + " " + noun + (value == 1 ? "" : "s");
}

/// Where every pass has drawn coordinates, only these are read.
std::int64_t bytes_read_of_an_image(const RunConfig& config, const ImageSource& train) {
  const auto drawn = [](const CoordinateSet& set) { return set.count > 0; };
  const auto& inner = config.coordinates.inner;
  const auto& outer = config.coordinates.outer;
  return drawn(inner) && drawn(outer) ? train.channels() * (inner.count + outer.count)
                                      : train.image_bytes();
}

/// How often the state is saved, and how large it is.
std::string checkpoint_text(const RunConfig& config, const ImageSource& train,
                            const torch::Tensor& parameters) {
  const auto& checkpoint = config.checkpoint;
  const std::string often =
      checkpoint.every_steps > 0 ? "every " + count(checkpoint.every_steps, "step") : "at the end";
  // Weights, two moments, the moving average; `glo` has a latent and its moments for each image.
  const auto weights = config.trainer.ema_decay > 0 ? 4 : 3;
  auto bytes = static_cast<double>(weights) * static_cast<double>(parameters.nbytes());
  if (config.model.family == Family::kGlo) {
    const auto& latent = config.latent;
    const auto table = train.images() * latent.size * latent.spatial * latent.spatial;
    bytes += 3 * static_cast<double>(table) * static_cast<double>(parameters.element_size());
  }
  return often + ", " + number(bytes / 1e6, 3) + " MB" +
         (checkpoint.asynchronous ? ", beside training, from a copy in host memory on rank 0"
                                  : ", while training waits");
}

/// A line for coordinates that are drawn or shared; none otherwise.
std::vector<std::string> coordinate_lines(const RunConfig& config, const ImageSource& train) {
  const auto sharers = config.parallel.coordinate_ranks;
  std::string line;
  if (config.coordinates.inner.count > 0 || config.coordinates.outer.count > 0) {
    line = "inner " + value_of(config, "coordinates.inner") + ", outer " +
           value_of(config, "coordinates.outer") + " of " +
           count(train.height() * train.width(), "pixel");
  }
  if (sharers > 1) {
    line += (line.empty() ? "" : ", ") + std::to_string(sharers) + " ranks share each image";
  }
  if (line.empty()) return {};
  return {"coordinates  " + line};
}

/// The published step size makes latents grow with the number of pixels: a word where these are
/// many more than the paper's 784 to 16384.
std::vector<std::string> step_size_lines(const RunConfig& config, const ImageSource& train) {
  constexpr double kPublishedPixels = 784, kPublishedBatch = 64, kMostPixels = 16384;
  const auto pixels = static_cast<double>(train.height() * train.width());
  const auto published = published_scale(config.model.decoder, config.trainer.batch_size,
                                         train.channels(), train.height(), train.width());
  const bool warns = config.model.decoder == DecoderKind::kSiren && pixels > kMostPixels &&
                     config.latent.step_size == published;
  if (!warns) return {};
  const auto smaller =
      kPublishedPixels / (kPublishedBatch * static_cast<double>(train.channels()) * pixels);
  return {
      "note         latent.step_size = auto is meant for small images, and latents grow with the "
      "pixels: if the loss rises, try --latent.step_size " +
      number(smaller, 2)};
}

}  // namespace

std::vector<std::string> plan_lines(const RunConfig& config, const ImageSource& train,
                                    const ImageSource* held_out, const torch::Tensor& parameters,
                                    const std::string& binding, int world) {
  const auto option = [&](const char* name) { return value_of(config, name); };
  const auto& model = config.model;
  const auto& latent = config.latent;
  const auto batches = train.images() / config.trainer.batch_size;
  const auto own_batch_bytes =
      static_cast<double>(config.trainer.batch_size * bytes_read_of_an_image(config, train)) /
      world;
  // Weights, gradient, two moments; the batches read ahead and the one in use.
  const auto bytes = 4 * static_cast<double>(parameters.nbytes()) +
                     static_cast<double>(config.data.prefetch_batches + 1) * own_batch_bytes;

  const std::string data = config.data.path + ": " + count(train.images(), "image") + " " +
                           std::to_string(train.channels()) + "x" + std::to_string(train.height()) +
                           "x" + std::to_string(train.width()) + ", held out " +
                           (held_out != nullptr ? std::to_string(held_out->images())
                                                : "none (the training split is evaluated)");
  const std::string family = model.family == Family::kGon ? "" : option("model.family") + ", ";
  const std::string decoder =
      model.decoder == DecoderKind::kConv
          ? "conv decoder, " + count(model.filters, "filter") + ", batch norm " +
                option("model.batch_norm")
          : "siren decoder " + std::to_string(model.layers) + "x" + std::to_string(model.hidden);
  std::vector<std::string> lines = {
      "data         " + data,
      "model        " + family + decoder + ", " + option("model.activation") + ", " +
          count(parameters.numel(), "parameter"),
      "latent       " + count(latent.size * latent.spatial * latent.spatial, "value") + ", " +
          count(latent.steps, "inner step") + (latent.detach ? " (detached)" : "") +
          ", step size " + number(latent.step_size) + ", " +
          path_in_words(config, {train.channels(), train.height(), train.width()}),
      "training     " + count(total_steps(config.trainer, batches), "step") + " of " +
          count(config.trainer.batch_size, "image") + " (" + count(batches, "step") +
          " an epoch), " + option("trainer.precision") + ", learning rate " +
          number(config.optimizer.learning_rate) + ", seed " + std::to_string(config.run.seed),
      "checkpoints  " + checkpoint_text(config, train, parameters),
      "world        " + count(world, "rank") + ", " + binding + " each, " + number(bytes / 1e6, 3) +
          " MB of weights, moments and batches a rank"};
  const auto coordinates = coordinate_lines(config, train);
  lines.insert(lines.begin() + 3, coordinates.begin(), coordinates.end());
  const auto step_size = step_size_lines(config, train);
  lines.insert(lines.end(), step_size.begin(), step_size.end());
  return lines;
}

std::vector<std::string> reduction_lines(const BucketChoice& bucket, std::int64_t gradient_bytes,
                                         int world) {
  if (world == 1 || bucket.bytes >= gradient_bytes) return {};
  const auto megabytes = [](std::int64_t bytes) {
    return number(static_cast<double>(bytes) / 1e6, 3) + " MB";
  };
  auto line = "all-reduce   " + megabytes(bucket.bytes) + " at a time of a gradient of " +
              megabytes(gradient_bytes);
  if (bucket.measured()) {
    const auto& [latency, seconds_per_byte] = bucket.cost;
    line += " (a sum takes " + number(1e3 * latency, 2) + " ms, and " +
            number(1e9 * seconds_per_byte, 2) + " ms for each MB, measured)";
  }
  return {line};
}

}  // namespace gondola
