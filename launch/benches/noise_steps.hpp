#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"
#include "launch/mpi_session.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/train_step.hpp"

namespace gondola {

/// One rank's images of a step that is timed, all noise.
class NoiseImages {
 public:
  /// Images first..first+count-1 of a global batch of as many as `batch_size`.
  NoiseImages(std::int64_t first, std::int64_t count, std::int64_t batch_size,
              const ImageShape& shape);

  /// Lives as long as this object.
  [[nodiscard]] StepInput input() const { return {.view = {.pixels = pixels_}, .ids = ids_}; }

 private:
  std::unique_ptr<ImageSource> source_;
  torch::Tensor pixels_;  ///< [count, C, H, W], u8
  std::vector<std::int64_t> ids_;
};

/// Refuses what a bench that times such steps over ranks does not do, and one rank alone.
/// @param bench as in "gondola bench overlap"
/// @throws ConfigError
void require_noise_steps(RunConfig config, const ImageShape& shape, const MpiSession& mpi,
                         const std::string& bench);

}  // namespace gondola
