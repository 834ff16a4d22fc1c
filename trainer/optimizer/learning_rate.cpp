#include "trainer/optimizer/learning_rate.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gondola {

double learning_rate_at(const OptimizerSection& config, std::int64_t step,
                        std::int64_t total_steps) {
  if (step <= config.warmup_steps) {
    return config.learning_rate * static_cast<double>(step) /
           static_cast<double>(config.warmup_steps);
  }
  if (config.schedule == Schedule::kConstant) return config.learning_rate;
  const auto span =
      static_cast<double>(std::max<std::int64_t>(total_steps - config.warmup_steps, 1));
  const double progress = std::min(1.0, static_cast<double>(step - config.warmup_steps) / span);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * progress));
  return config.learning_rate * (config.final_fraction + (1 - config.final_fraction) * cosine);
}

}  // namespace gondola
