#include "trainer/parameters.hpp"

#include "trainer/random.hpp"

namespace gondola {

Parameters::Parameters(const std::vector<ParameterSpec>& specs, torch::ScalarType dtype,
                       torch::Device device, std::uint64_t seed) {
  std::int64_t total = 0;
  for (const auto& spec : specs) {
    names_.push_back(spec.name);
    offsets_.push_back(total);
    total += c10::multiply_integers(spec.shape);
  }
  const auto options = torch::TensorOptions().dtype(dtype).device(device);
  flat_ = torch::empty({total}, options);
  flat_gradient_ = torch::zeros({total}, options);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const auto& spec = specs[i];
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
}

void Parameters::zero_gradient() { flat_gradient_.zero_(); }

torch::Tensor Parameters::slice_of(const torch::Tensor& flat, std::size_t i) const {
  return flat.narrow(0, offsets_[i], tensors_[i].numel()).view(tensors_[i].sizes());
}

}  // namespace gondola
