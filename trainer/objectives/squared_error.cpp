#include "trainer/objectives/squared_error.hpp"

namespace gondola {

torch::Tensor squared_error_per_image(const torch::Tensor& prediction,
                                      const torch::Tensor& target) {
  TORCH_CHECK(prediction.sizes() == target.sizes(), "prediction ", prediction.sizes(),
              " and target ", target.sizes(), " differ in shape");
  return (prediction - target).square().flatten(1).sum(1);
}

}  // namespace gondola
