#include "trainer/optimizer/flat_adam.hpp"

namespace gondola {

FlatAdam::FlatAdam(const OptimizerSection& config, std::int64_t size,
                   const torch::TensorOptions& options)
    : config_(config),
      first_moment_(torch::zeros({size}, options)),
      second_moment_(torch::zeros({size}, options)),
      updates_(torch::zeros({}, options.dtype(torch::kFloat32))) {}

void FlatAdam::step(torch::Tensor& parameters, torch::Tensor& gradient,
                    const torch::Tensor& learning_rate, const torch::Tensor& skip) {
  const at::NoGradGuard no_grad;
  updates_.add_(1).sub_(skip);
  at::_fused_adam_({parameters}, {gradient}, {first_moment_}, {second_moment_},
                   /*max_exp_avg_sqs=*/{}, {updates_}, learning_rate, config_.beta1, config_.beta2,
                   /*weight_decay=*/0, config_.epsilon, /*amsgrad=*/false, /*maximize=*/false,
                   /*grad_scale=*/{}, /*found_inf=*/skip);
}

}  // namespace gondola
