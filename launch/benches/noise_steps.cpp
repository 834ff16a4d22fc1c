#include "launch/benches/noise_steps.hpp"

#include <numeric>
#include <utility>

#include "configs/errors.hpp"
#include "configs/validate_config.hpp"
#include "trainer/evaluation/evaluate.hpp"

namespace gondola {

NoiseImages::NoiseImages(std::int64_t first, std::int64_t count, std::int64_t batch_size,
                         const ImageShape& shape)
    : source_(open_source("synthetic:" + std::to_string(batch_size) + "x" + text_of(shape),
                          Split::kTrain, CacheKind::kNone)),
      pixels_(read_pixels(*source_, first, count)),
      ids_(static_cast<std::size_t>(count)) {
  std::iota(ids_.begin(), ids_.end(), first);
}

void require_noise_steps(RunConfig config, const ImageShape& shape, const MpiSession& mpi,
                         const std::string& bench) {
  if (mpi.size() == 1) {
    throw ConfigError(bench +
                      " measures messages between ranks, and there is one: start it with mpirun "
                      "-n 2");
  }
  const auto family = config.model.family;
  const std::vector<std::pair<bool, std::string>> demands = {
      {config.parallel.coordinate_ranks == 1, "parallel.coordinate_ranks = 1"},
      {config.coordinates.inner.count == 0, "coordinates.inner = full"},
      {config.coordinates.outer.count == 0, "coordinates.outer = full"},
      {family != Family::kGlo && family != Family::kTranslation && family != Family::kClassifier &&
           family != Family::kJoint,
       "a model.family that learns from images alone"}};
  for (const auto& [met, demand] : demands) {
    if (!met) {
      throw ConfigError(bench + " takes steps of whole noise images with " + demand +
                        ": leave that option as it is");
    }
  }
  // What a run needs beyond that and a bench has no use for.
  if (config.data.path.empty()) config.data.path = "synthetic:1x" + text_of(shape);
  if (config.trainer.epochs == 0 && config.trainer.steps == 0) {
    config.trainer.steps = config.optimizer.warmup_steps + 1;
  }
  if (const auto problems = contradictions_of(config); !problems.empty()) {
    throw_config_error(problems);
  }
  check_world(config, mpi.size());
  check_image_size(config, shape.channels, shape.height, shape.width);
}

}  // namespace gondola
