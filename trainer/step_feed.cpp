#include "trainer/step_feed.hpp"

#include <algorithm>

#include "trainer/evaluation/evaluate.hpp"

namespace gondola {
namespace {

/// What the step computes with on a CPU, the readers make; other devices and types convert bytes,
/// and some objectives do it in parts.
PixelForm pixel_form(const TrainingState& state, const DeviceCache* cache) {
  const auto& parameters = state.decoder.parameters().flat();
  const bool as_values = parameters.device().is_cpu() &&
                         parameters.scalar_type() == torch::kFloat32 && cache == nullptr &&
                         !state.objective.takes_bytes();
  return as_values ? PixelForm::kValues : PixelForm::kBytes;
}

/// Steps come and go with global batches: the number of those before this one keys its coordinates.
DrawKey key_of(Cursor cursor, std::int64_t batches_per_epoch) {
  return {.batch = cursor.epoch * batches_per_epoch + cursor.batch};
}

/// Where every pass has drawn coordinates, only these are read.
PixelPick pixel_pick(const TrainingRun& run, const CoordinateDraws& draws) {
  if (!draws.all()) return {};
  const auto batches = run.train.images() / run.config.trainer.batch_size;
  return {.count = draws.picked_pixels(),
          .of = [&draws, batches](Cursor cursor) { return draws.pixels(key_of(cursor, batches)); }};
}

LoaderOptions loader_options(const TrainingRun& run, const DeviceCache* cache,
                             const CoordinateDraws& draws) {
  const auto& config = run.config;
  const auto& control = run.control;
  const auto sharers = config.parallel.coordinate_ranks;
  return {.shuffle = config.data.shuffle,
          .block_images = config.data.block_images,
          .seed = config.run.seed,
          .batch_size = config.trainer.batch_size,
          .rank = control.rank() / sharers,
          .world = control.size() / sharers,
          .reader_threads = config.data.reader_threads,
          .prefetch_batches = config.data.prefetch_batches,
          .pixels = pixel_form(run.state, cache),
          .pick = pixel_pick(run, draws),
          .node_ranks = std::max<std::int64_t>(1, run.node_ranks / sharers)};
}

}  // namespace

StepFeed::StepFeed(const TrainingRun& run)
    : run_(run),
      cache_(run.config.data.cache == CacheKind::kDevice
                 ? std::make_unique<DeviceCache>(run.train,
                                                 run.state.decoder.parameters().flat().device())
                 : nullptr),
      ids_only_(cache_ ? without_pixels(run.train) : nullptr),
      draws_(run.config.coordinates, run.train.height(), run.train.width(), run.config.run.seed,
             run.coordinate_group),
      loader_(ids_only_ ? *ids_only_ : run.train, loader_options(run, cache_.get(), draws_)) {}

/// [B, C, H, W] u8 or float32, of images read in part [B, C, K]; without a copy: lives as long as
/// the batch.
torch::Tensor StepFeed::as_tensor(const Batch& batch) const {
  const auto& train = run_.train;
  std::vector<std::int64_t> sizes = {batch.images, train.channels(), train.height(), train.width()};
  if (draws_.all()) sizes = {batch.images, train.channels(), draws_.picked_pixels()};
  if (batch.values.data() != nullptr) {
    return torch::from_blob(const_cast<float*>(batch.values.data()), sizes, torch::kFloat32);
  }
  return torch::from_blob(const_cast<std::uint8_t*>(batch.pixels.data()), sizes, torch::kUInt8);
}

/// Pixels that a step with these coordinates sees of an image source, read here and now: [B, C, H,
/// W] or [B, C, K] u8.
torch::Tensor StepFeed::pixels_of(const ImageSource& source, std::span<const std::int64_t> ids,
                                  DrawKey key) const {
  if (cache_ && &source == &run_.train) {
    const auto whole = cache_->gather(ids);
    if (!draws_.all()) return whole;
    const auto index = torch::tensor(draws_.pixels(key), torch::kInt64).to(whole.device());
    return whole.flatten(2).index_select(2, index);
  }
  return draws_.all() ? read_pixels(source, ids, draws_.pixels(key)) : read_pixels(source, ids);
}

/// The training images' pixels with all else that a pass sees.
StepView StepFeed::view_of(const torch::Tensor& pixels, std::span<const std::int64_t> ids,
                           DrawKey key) const {
  const auto& flat = run_.state.decoder.parameters().flat();
  StepView view;
  view.pixels = pixels;
  view.coordinates = draws_.at(key, flat.options().requires_grad(false));
  if (run_.targets != nullptr) view.target_pixels = pixels_of(*run_.targets, ids, key);
  return view;
}

StepInput StepFeed::next(std::int64_t number) {
  const auto& config = run_.config;
  const auto batch = loader_.next();
  const auto key = key_of(batch.cursor, loader_.batches_per_epoch());
  const auto pixels = cache_ ? pixels_of(run_.train, batch.ids, key) : as_tensor(batch);
  StepInput input{.view = view_of(pixels, batch.ids, key), .ids = batch.ids};
  constexpr std::int64_t kOtherDraws = 3;
  if (draws_.any() && due(number, config.coordinates.spread_every)) {
    for (std::int64_t repeat = 1; repeat <= kOtherDraws; ++repeat) {
      const DrawKey other{.batch = key.batch, .repeat = repeat};
      input.others.push_back(view_of(pixels_of(run_.train, batch.ids, other), batch.ids, other));
    }
  }
  if (learns_classes(config.model.family)) {
    input.labels = torch::tensor(
        at::ArrayRef<std::int64_t>(batch.labels.data(), batch.labels.size()), torch::kInt64);
  }
  if (config.model.family == Family::kGlo) {
    input.global_ids = loader_.global_ids(batch.cursor);
    input.first =
        slice_of(config.trainer.batch_size, run_.control.rank(), run_.control.size()).begin;
  }
  return input;
}

}  // namespace gondola
