#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"
#include "trainer/evaluation/reconstructor.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/model.hpp"

namespace gondola {

/// A model read from a checkpoint, ready to encode and decode. Movable only by pointer: the
/// reconstructor refers to it.
class TrainedModel {
 public:
  /// @param path a checkpoint folder, or a run folder: its best checkpoint, else its newest whole
  /// one. The moving average of the weights is taken where the run kept one. @throws
  /// MissingInputError, CheckpointError
  TrainedModel(const std::filesystem::path& path, torch::Device device,
               EvaluationStatistics statistics = EvaluationStatistics::kIndependent,
               std::int64_t group_images = 100);
  TrainedModel(const TrainedModel&) = delete;
  TrainedModel& operator=(const TrainedModel&) = delete;

  [[nodiscard]] const RunConfig& config() const { return config_; }
  [[nodiscard]] const ImageShape& shape() const { return shape_; }
  [[nodiscard]] const std::filesystem::path& checkpoint() const { return checkpoint_; }
  [[nodiscard]] Objective& objective() { return *model_.objective; }
  [[nodiscard]] Decoder& decoder() { return *model_.decoder; }
  [[nodiscard]] const Reconstructor& reconstructor() const { return *reconstructor_; }
  [[nodiscard]] const torch::Tensor& mean_image() const { return mean_image_; }  ///< [1, C, H, W]
  [[nodiscard]] torch::TensorOptions options() { return model_.parameters().flat().options(); }

  /// Opens a split to run the model on: `path`, or the dataset it was trained on where that is
  /// empty; without a test split "test" is an error. @throws DataError for images of another shape
  [[nodiscard]] std::unique_ptr<ImageSource> open_images(const std::string& path,
                                                         Split split) const;
  /// The other modality of `images` (config data.targets); nullptr for families that have none.
  [[nodiscard]] std::unique_ptr<ImageSource> open_targets(const ImageSource& images,
                                                          Split split) const;

 private:
  std::filesystem::path checkpoint_;
  RunConfig config_;
  ImageShape shape_;
  Model model_;
  torch::Tensor mean_image_;
  std::unique_ptr<Reconstructor> reconstructor_;
};

}  // namespace gondola
