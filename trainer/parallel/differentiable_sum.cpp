#include "trainer/parallel/differentiable_sum.hpp"

#include <torch/autograd.h>

namespace gondola {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

struct AllReduceSum : torch::autograd::Function<AllReduceSum> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               Communicator* communicator) {
    context->saved_data["communicator"] = reinterpret_cast<std::int64_t>(communicator);
    auto sum = x.detach().clone(at::MemoryFormat::Contiguous);
    communicator->all_reduce_sum(sum);
    return sum;
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    auto* const communicator =
        reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
    return {all_reduce_sum_differentiable(gradients[0], communicator), {}};
  }
};

}  // namespace

torch::Tensor all_reduce_sum_differentiable(const torch::Tensor& x, Communicator* communicator) {
  return communicator == nullptr ? x : AllReduceSum::apply(x, communicator);
}

}  // namespace gondola
