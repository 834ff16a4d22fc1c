#include "launch/trained_model.hpp"

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "launch/device_binding.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/kernels/matrix_product.hpp"
#include "trainer/model.hpp"

namespace gondola {

TrainedModel::TrainedModel(const std::filesystem::path& path, torch::Device device,
                           EvaluationStatistics statistics, std::int64_t group_images)
    : checkpoint_(checkpoint_named(path)),
      config_(from_ini(read_origin(checkpoint_).config_ini, checkpoint_.string())) {
  apply_precision(config_);
  // What the run was trained with is not needed to look at it.
  if (!is_available(ProductLibrary::kOneDnn)) config_.trainer.matmul = Matmul::kAten;
  config_.trainer.tile_bytes = 0;
  config_.evaluation.statistics = statistics;
  config_.evaluation.group_images = group_images;
  const auto shape = read_image_shape(checkpoint_);
  shape_ = {.channels = shape[0], .height = shape[1], .width = shape[2]};
  model_ = make_model(config_, {.shape = shape_, .device = device});
  mean_image_ = torch::empty({1, shape_.channels, shape_.height, shape_.width}, options());
  read_model(checkpoint_, *model_.decoder, &mean_image_, Weights::kAverage);
  reconstructor_ =
      std::make_unique<Reconstructor>(config_, *model_.decoder, *model_.objective, mean_image_);
}

std::unique_ptr<ImageSource> TrainedModel::open_images(const std::string& path, Split split) const {
  auto source = open_source(path.empty() ? config_.data.path : path, split, CacheKind::kNone);
  const auto found = shape_of(*source);
  if (found != shape_) {
    throw DataError(source->name() + " holds images " + text_of(found) + ", the model of '" +
                    checkpoint_.string() + "' was trained on " + text_of(shape_) +
                    "; import them at that size");
  }
  return source;
}

std::unique_ptr<ImageSource> TrainedModel::open_targets(const ImageSource& images,
                                                        Split split) const {
  if (config_.data.targets.empty()) return nullptr;
  auto targets = open_images(config_.data.targets, split);  // of the model's shape as well
  if (targets->images() != images.images()) {
    throw DataError(targets->name() + " holds " + std::to_string(targets->images()) + " images, " +
                    images.name() + " " + std::to_string(images.images()) +
                    "; translation needs one target for each image");
  }
  return targets;
}

}  // namespace gondola
