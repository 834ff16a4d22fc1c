#include "launch/training_images.hpp"

#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/foreign_scan.hpp"
#include "data/synthetic_source.hpp"
#include "launch/start_up_check.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/model.hpp"

namespace gondola {
namespace {

/// @throws DataError unless image i is there for each image i of `images`, of the same shape
std::unique_ptr<ImageSource> open_targets(const std::string& path, const ImageSource& images,
                                          Split split) {
  auto targets = open_source(path, split, CacheKind::kNone);
  if (targets->images() != images.images() || shape_of(*targets) != shape_of(images)) {
    throw DataError(targets->name() + " holds " + std::to_string(targets->images()) + " images " +
                    text_of(shape_of(*targets)) + ", " + images.name() + " " +
                    std::to_string(images.images()) + " images " + text_of(shape_of(images)) +
                    "; the modalities of translation need as many images of one shape");
  }
  return targets;
}

}  // namespace

std::uint64_t TrainingImages::fingerprint() const {
  const auto images = train->fingerprint();
  if (!targets) return images;
  return hash_of_text(std::to_string(images) + " " + std::to_string(targets->fingerprint()));
}

TrainingImages open_training_images(const DataSection& data) {
  TrainingImages images;
  images.train = open_source(data.path, Split::kTrain, CacheKind::kNone);
  if (has_split(data.path, Split::kTest)) {
    images.held_out = open_source(data.path, Split::kTest, CacheKind::kNone);
    if (shape_of(*images.held_out) != images.shape()) {
      throw DataError("the test images of " + data.path + " are " +
                      text_of(shape_of(*images.held_out)) + ", its training images " +
                      text_of(images.shape()) + "; import both at one size");
    }
  }
  if (!data.targets.empty()) {
    images.targets = open_targets(data.targets, *images.train, Split::kTrain);
    if (images.held_out) {
      images.held_out_targets = open_targets(data.targets, *images.held_out, Split::kTest);
    }
  }
  return images;
}

double seconds_to_open(const DataSection& data) {
  constexpr double kSlowestBytesPerSecond = 20e6;
  double bytes = 0;
  for (const auto& list : {data.path, data.targets}) {
    if (list.empty() || is_synthetic(list)) continue;
    bytes += static_cast<double>(bytes_read_when_opened(list));
  }
  return bytes / kSlowestBytesPerSecond;
}

void compare_images(const TrainingImages& images, Communicator& control) {
  const std::vector<NamedHash> things = {
      {.name = "dataset", .hash = images.train->fingerprint()},
      {.name = "test split", .hash = images.held_out ? images.held_out->fingerprint() : 0},
      {.name = "targets", .hash = images.targets ? images.targets->fingerprint() : 0},
      {.name = "test targets",
       .hash = images.held_out_targets ? images.held_out_targets->fingerprint() : 0}};
  compare_over_ranks(control, things);
}

void resolve_from_images(RunConfig& config, const TrainingImages& images) {
  config.latent.step_size = resolved_step_size(config, images.shape());
  if (!learns_classes(config.model.family)) return;
  const auto labels =
      read_labels(*images.train, 0, images.train->images(),
                  config.model.classes > 0 ? config.model.classes : std::int64_t{1000000});
  if (config.model.classes == 0) config.model.classes = labels.max().item<std::int64_t>() + 1;
  if (images.held_out) {  // refused now, not at the first evaluation
    (void)read_labels(*images.held_out, 0, images.held_out->images(), config.model.classes);
  }
}

}  // namespace gondola
