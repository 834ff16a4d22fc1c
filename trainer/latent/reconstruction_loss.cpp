#include "trainer/latent/reconstruction_loss.hpp"

#include "trainer/decoders/pixel_target.hpp"
#include "trainer/objectives/squared_error.hpp"
#include "trainer/parallel/differentiable_sum.hpp"

namespace gondola {

ReconstructionLoss::ReconstructionLoss(Decoder& decoder, const torch::Tensor& images,
                                       const torch::Tensor& mean_image, std::int64_t global_images,
                                       const Pass& pass, bool share_origin)
    : decoder_(decoder),
      images_(images),
      mean_image_(mean_image),
      global_images_(global_images),
      pass_(pass),
      // Coupled images are exact on any number of ranks only so.
      share_origin_(decoder.couples_images(pass.normalisation) ||
                    (share_origin && decoder.shares_origin(pass.normalisation))) {}

torch::Tensor ReconstructionLoss::per_image(const torch::Tensor& z) const {
  if (!target_.defined()) target_ = values_of(values_in(images_, pass_), z.scalar_type());
  return squared_error_per_image(decoder_.decode(z, pass_), target_) * weight_in(pass_);
}

std::optional<OriginGradient> ReconstructionLoss::at_origin() const {
  if (!share_origin_) return std::nullopt;
  return decoder_.gradient_at_origin(images_, mean_image_, global_images_, pass_);
}

torch::Tensor ReconstructionLoss::over_parts(const torch::Tensor& gradient) const {
  auto* const group = pass_.coordinates == nullptr ? nullptr : pass_.coordinates->group;
  return all_reduce_sum_differentiable(gradient, group);
}

}  // namespace gondola
