#include "trainer/objectives/gon.hpp"

#include "trainer/objectives/squared_error.hpp"

namespace gondola {

OuterLoss GonObjective::outer(Decoder& decoder, const torch::Tensor& latents,
                              const torch::Tensor& images, const Pass& pass) const {
  OuterLoss result;
  result.reconstruction = decoder.decode(latents, pass);
  result.per_image = squared_error_per_image(result.reconstruction, images);
  return result;
}

}  // namespace gondola
