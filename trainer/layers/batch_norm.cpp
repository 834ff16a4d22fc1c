#include "trainer/layers/batch_norm.hpp"

#include <utility>

#include "trainer/kernels/cpu_floats.hpp"
#include "trainer/layers/batch_norm_elu.hpp"
#include "trainer/layers/sync_batch_norm.hpp"

namespace gondola {

BatchNorm::BatchNorm(std::shared_ptr<Parameters> parameters, const std::string& name,
                     std::int64_t channels, std::size_t bias, Communicator* communicator)
    : parameters_(std::move(parameters)),
      communicator_(communicator != nullptr && communicator->size() > 1 ? communicator : nullptr),
      bias_(bias),
      first_(parameters_->declare({{.name = name + ".weight", .shape = {channels}, .center = 1},
                                   {.name = name + ".bias", .shape = {channels}}})),
      averages_(parameters_->declare_averages(name, channels)) {}

torch::Tensor BatchNorm::forward(const torch::Tensor& x, const Activation& activation,
                                 Normalisation normalisation, PassStatistics& statistics) const {
  if (normalisation == Normalisation::kRunning) {
    const auto& average = parameters_->running_averages()[averages_];
    const auto scale = gain() * at::rsqrt(average.variance + kBatchNormEpsilon);  // [C]
    return activation.forward(x * per_channel(scale) +
                              per_channel((bias() - average.mean) * scale + shift()));
  }
  auto* const communicator = normalisation == Normalisation::kBatch ? communicator_ : nullptr;
  const bool fused = activation.kind() == ActivationKind::kElu && is_cpu_floats(x);
  const auto result = fused ? batch_norm_elu(x, gain(), shift(), communicator)
                            : sync_batch_norm(x, gain(), shift(), communicator);
  statistics.push_back(
      {.layer = averages_, .mean = result.mean + bias().detach(), .variance = result.variance});
  return fused ? result.output : activation.forward(result.output);
}

}  // namespace gondola
