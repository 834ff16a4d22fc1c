#include "trainer/parameters.hpp"

#include "trainer/random.hpp"

namespace gondola {

std::size_t Parameters::declare(const std::vector<ParameterSpec>& specs) {
  TORCH_CHECK(!flat_.defined(), "parameters are declared before they are allocated");
  const auto first = specs_.size();
  specs_.insert(specs_.end(), specs.begin(), specs.end());
  return first;
}

std::size_t Parameters::declare_averages(const std::string& name, std::int64_t channels) {
  TORCH_CHECK(!flat_.defined(), "running averages are declared before they are allocated");
  averages_.push_back({.name = name, .mean = {}, .variance = {}});
  channels_.push_back(channels);
  return averages_.size() - 1;
}

void Parameters::allocate(torch::ScalarType dtype, torch::Device device, std::uint64_t seed) {
  std::int64_t total = 0;
  for (const auto& spec : specs_) {
    offsets_.push_back(total);
    total += c10::multiply_integers(spec.shape);
  }
  const auto options = torch::TensorOptions().dtype(dtype).device(device);
  flat_ = torch::empty({total}, options);
  flat_gradient_ = torch::zeros({total}, options);
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    const auto& spec = specs_[i];
    const auto size = c10::multiply_integers(spec.shape);
    auto view = flat_.narrow(0, offsets_[i], size).view(spec.shape);
    const auto draw = torch::empty(spec.shape, torch::kFloat64)
                          .uniform_(spec.center - spec.bound, spec.center + spec.bound,
                                    keyed_generator(seed, spec.name));
    view.copy_(draw);
    auto leaf = view.detach().requires_grad_(true);
    leaf.mutable_grad() = flat_gradient_.narrow(0, offsets_[i], size).view(spec.shape);
    tensors_.push_back(std::move(leaf));
  }
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    averages_[i].mean = torch::zeros({channels_[i]}, options);
    averages_[i].variance = torch::ones({channels_[i]}, options);
  }
}

void Parameters::zero_gradient() { flat_gradient_.zero_(); }

torch::Tensor Parameters::slice_of(const torch::Tensor& flat, std::size_t i) const {
  return flat.narrow(0, offsets_[i], tensors_[i].numel()).view(tensors_[i].sizes());
}

void Parameters::update_running_averages(const PassStatistics& statistics,
                                         const torch::Tensor& skip) {
  constexpr double kMomentum = 0.1;
  const at::NoGradGuard no_grad;
  const auto move = [&](torch::Tensor& average, const torch::Tensor& seen) {
    const auto moved = average.mul(1 - kMomentum).add(seen, kMomentum);
    average.copy_(skip.defined() ? at::where(skip.to(torch::kBool), average, moved) : moved);
  };
  for (const auto& layer : statistics) {
    TORCH_CHECK(layer.layer < averages_.size(), "statistics of normalisation layer ", layer.layer,
                " of ", averages_.size());
    move(averages_[layer.layer].mean, layer.mean);
    move(averages_[layer.layer].variance, layer.variance);
  }
}

}  // namespace gondola
