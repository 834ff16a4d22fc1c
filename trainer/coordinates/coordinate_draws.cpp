#include "trainer/coordinates/coordinate_draws.hpp"

#include <numeric>
#include <string>

#include "data/batch_loader.hpp"

namespace gondola {
namespace {

std::optional<PixelSampler> sampler_of(const CoordinateSet& set, std::int64_t height,
                                       std::int64_t width, std::uint64_t seed,
                                       const std::string& purpose) {
  if (set.sampler == CoordinateSampler::kFull) return std::nullopt;
  return PixelSampler(set, height, width, seed, purpose);
}

}  // namespace

CoordinateDraws::CoordinateDraws(const CoordinatesSection& config, std::int64_t height,
                                 std::int64_t width, std::uint64_t seed, Communicator* group)
    : config_(config),
      height_(height),
      width_(width),
      group_(group),
      inner_(sampler_of(config.inner, height, width, seed, "inner coordinates")),
      outer_(sampler_of(config.outer, height, width, seed, "outer coordinates")) {}

/// This rank's part of a set: of a drawn one as it was drawn, else of the grid.
std::vector<std::int64_t> CoordinateDraws::own_pixels(const std::optional<PixelSampler>& sampler,
                                                      DrawKey key) const {
  const auto rank = group_ == nullptr ? 0 : group_->rank();
  const auto ranks = group_ == nullptr ? 1 : group_->size();
  std::vector<std::int64_t> own;
  if (sampler) {
    const auto all = sampler->draw(key);
    const auto slice = slice_of(static_cast<std::int64_t>(all.size()), rank, ranks);
    own.assign(all.begin() + slice.begin, all.begin() + slice.end);
  } else {
    const auto slice = slice_of(height_ * width_, rank, ranks);
    own.resize(static_cast<std::size_t>(slice.size()));
    std::iota(own.begin(), own.end(), slice.begin);
  }
  return own;
}

std::int64_t CoordinateDraws::own_count(const CoordinateSet& set) const {
  return group_ == nullptr ? set.count : slice_of(set.count, group_->rank(), group_->size()).size();
}

std::vector<std::int64_t> CoordinateDraws::pixels(DrawKey key) const {
  auto pixels = own_pixels(inner_, key);
  const auto outer = own_pixels(outer_, key);
  pixels.insert(pixels.end(), outer.begin(), outer.end());
  return pixels;
}

std::int64_t CoordinateDraws::picked_pixels() const {
  return own_count(config_.inner) + own_count(config_.outer);
}

StepCoordinates CoordinateDraws::at(DrawKey key, const torch::TensorOptions& options) const {
  const auto part = [&](const std::optional<PixelSampler>& sampler) {
    if (!sampler && group_ == nullptr) return Coordinates{};
    const auto index = torch::tensor(own_pixels(sampler, key), torch::kInt64).to(options.device());
    auto coordinates = pixels_of_grid(height_, width_, index, options);
    if (sampler) coordinates.weight = sampler->weight();
    coordinates.group = group_;
    return coordinates;
  };
  StepCoordinates step{.inner = part(inner_), .outer = part(outer_)};
  step.outer.picked_at = own_count(config_.inner);
  return step;
}

}  // namespace gondola
