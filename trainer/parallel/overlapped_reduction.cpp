#include "trainer/parallel/overlapped_reduction.hpp"

#include <torch/autograd.h>

namespace gondola {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

struct SumGradients : torch::autograd::Function<SumGradients> {
  static tensor_list forward(AutogradContext* context, at::TensorList tensors,
                             OverlappedReduction* reduction) {
    context->saved_data["reduction"] = reinterpret_cast<std::int64_t>(reduction);
    tensor_list result;
    for (const auto& tensor : tensors) result.push_back(tensor.view_as(tensor));
    return result;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "these gradients have no graph");
    auto* const reduction =
        reinterpret_cast<OverlappedReduction*>(context->saved_data["reduction"].toInt());
    tensor_list flat;
    for (const auto& gradient : gradients) flat.push_back(gradient.flatten());
    auto sums = torch::cat(flat);
    reduction->add_over_ranks(sums);
    std::int64_t first = 0;
    for (auto& gradient : gradients) {
      gradient = sums.narrow(0, first, gradient.numel()).view(gradient.sizes());
      first += gradient.numel();
    }
    gradients.emplace_back();
    return gradients;
  }
};

}  // namespace

std::vector<torch::Tensor> OverlappedReduction::with_summed_gradients(
    const std::vector<torch::Tensor>& tensors) {
  return SumGradients::apply(at::TensorList(tensors), this);
}

torch::Tensor& OverlappedReduction::between(torch::Tensor& x) {
  if (x.requires_grad()) {
    x.register_hook([this](const torch::Tensor&) { progress(); });
  }
  return x;
}

void OverlappedReduction::add_over_ranks(torch::Tensor& sums) {
  TORCH_CHECK(bytes_ == 0, "the sums of a pass are added once");
  const at::NoGradGuard no_grad;
  thread_ = std::this_thread::get_id();
  own_sum_ = sums.sum();
  timer_.enter(Phase::kWait);
  ranks_.barrier();
  timer_.enter(Phase::kAllReduce);
  ranks_.all_reduce_sum(sums);
  pending_ = reducer_.start(outer_);
  bytes_ = static_cast<std::int64_t>(sums.nbytes() + outer_.nbytes());
  timer_.enter(Phase::kOuter);
}

void OverlappedReduction::progress() {
  if (std::this_thread::get_id() == thread_) pending_.progress();
}

void OverlappedReduction::wait() {
  TORCH_CHECK(bytes_ > 0, "the backward pass did not come to the sums");
  timer_.enter(Phase::kAllReduce);
  pending_.wait();
}

}  // namespace gondola
