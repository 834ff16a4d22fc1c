#include "trainer/coordinates/pixel_sampler.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <utility>

#include "configs/strata.hpp"
#include "data/sample_order.hpp"
#include "trainer/random.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kSobolBits = 30;  // of ATen's engine

/// points [M, 2] in [0, 1) x [0, 1) -> the pixels they lie in.
std::vector<std::int64_t> pixels_at(const torch::Tensor& points, std::int64_t height,
                                    std::int64_t width) {
  const auto at = points.accessor<double, 2>();
  const auto cell = [](double x, std::int64_t cells) {
    return std::min(static_cast<std::int64_t>(x * static_cast<double>(cells)), cells - 1);
  };
  std::vector<std::int64_t> pixels(static_cast<std::size_t>(points.size(0)));
  for (std::int64_t i = 0; i < points.size(0); ++i) {
    pixels[static_cast<std::size_t>(i)] = cell(at[i][0], height) * width + cell(at[i][1], width);
  }
  return pixels;
}

}  // namespace

PixelSampler::PixelSampler(const CoordinateSet& set, std::int64_t height, std::int64_t width,
                           std::uint64_t seed, std::string purpose)
    : set_(set), height_(height), width_(width), seed_(seed), purpose_(std::move(purpose)) {
  const auto problem = coordinate_set_problem(set, height, width);
  TORCH_CHECK(problem.empty() && set.count > 0, problem);
  if (set_.sampler == CoordinateSampler::kSobol) {
    directions_ = torch::zeros({2, kSobolBits}, torch::kInt64);
    at::_sobol_engine_initialize_state_(directions_, /*dimension=*/2);
  }
}

double PixelSampler::weight() const {
  return static_cast<double>(height_ * width_) / static_cast<double>(set_.count);
}

at::Generator PixelSampler::generator(DrawKey key) const {
  return keyed_generator(seed_, purpose_, static_cast<std::uint64_t>(key.batch),
                         static_cast<std::uint64_t>(key.repeat));
}

torch::Tensor PixelSampler::stratified_points(DrawKey key) const {
  const auto [rows, columns] = *strata_of(set_.count, height_, width_);
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  const auto jitter = at::rand({set_.count, 2}, generator(key), options);
  const auto cell = torch::arange(set_.count, torch::kInt64);
  const auto corner = torch::stack({cell.div(columns, "floor"), cell.remainder(columns)}, 1);
  return (corner + jitter) /
         torch::tensor({static_cast<double>(rows), static_cast<double>(columns)}, options);
}

torch::Tensor PixelSampler::sobol_points(DrawKey key) const {
  auto random = generator(key);
  const auto bits = at::randint(0, 2, {2, kSobolBits}, random, torch::kInt64);
  const auto powers = torch::pow(2, torch::arange(kSobolBits, torch::kInt64));
  const auto shift = bits.mul(powers).sum(1);  // [2]
  auto directions = directions_.clone();
  const auto matrices = at::randint(0, 2, {2, kSobolBits, kSobolBits}, random, torch::kInt64);
  at::_sobol_engine_scramble_(directions, matrices.tril(), /*dimension=*/2);

  // The engine starts behind point 0, which is the shift itself.
  const auto first = shift.to(torch::kFloat64).div_(1 << kSobolBits).view({1, 2});
  if (set_.count == 1) return first;
  const auto [others, state] =
      at::_sobol_engine_draw(shift.clone(), set_.count - 1, directions, /*dimension=*/2,
                             /*num_generated=*/0, torch::kFloat64);
  return torch::cat({first, others});
}

std::vector<std::int64_t> PixelSampler::draw(DrawKey key) const {
  switch (set_.sampler) {
    case CoordinateSampler::kStratified:
      return pixels_at(stratified_points(key), height_, width_);
    case CoordinateSampler::kSobol:
      return pixels_at(sobol_points(key), height_, width_);
    default:
      break;
  }
  std::vector<std::int64_t> pixels(static_cast<std::size_t>(set_.count));
  const auto number = keyed_number(seed_, purpose_, static_cast<std::uint64_t>(key.batch),
                                   static_cast<std::uint64_t>(key.repeat));
  KeyedPermutation(number, height_ * width_).fill(0, pixels);
  return pixels;
}

}  // namespace gondola
