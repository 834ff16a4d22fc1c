#include "trainer/objectives/gon.hpp"

#include "trainer/objectives/squared_error.hpp"

namespace gondola {

OuterLoss GonObjective::outer(Decoder& decoder, const torch::Tensor& latents,
                              const torch::Tensor& images, const Pass& pass) const {
  return {.per_image = squared_error_per_image(decoder.decode(latents, pass), images)};
}

}  // namespace gondola
