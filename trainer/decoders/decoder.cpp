#include "trainer/decoders/decoder.hpp"

namespace gondola {

void Decoder::update_running_averages(const PassStatistics& statistics, const torch::Tensor& skip) {
  constexpr double kMomentum = 0.1;
  const at::NoGradGuard no_grad;
  const auto move = [&](torch::Tensor& average, const torch::Tensor& seen) {
    const auto moved = average.mul(1 - kMomentum).add(seen, kMomentum);
    average.copy_(skip.defined() ? at::where(skip.to(torch::kBool), average, moved) : moved);
  };
  auto& averages = running_averages();
  TORCH_CHECK(averages.size() == statistics.size(), "statistics of ", statistics.size(),
              " layers for ", averages.size(), " normalisation layers");
  for (std::size_t i = 0; i < averages.size(); ++i) {
    move(averages[i].mean, statistics[i].mean);
    move(averages[i].variance, statistics[i].variance);
  }
}

}  // namespace gondola
