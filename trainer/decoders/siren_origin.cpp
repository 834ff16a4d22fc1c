#include "trainer/decoders/siren_origin.hpp"

#include <algorithm>
#include <utility>

#include "trainer/decoders/pixel_target.hpp"
#include "trainer/kernels/parallel_tasks.hpp"
#include "trainer/kernels/sine_operations.hpp"

namespace gondola {
namespace {

std::int64_t most_chunk_points(torch::Device device) { return device.is_cpu() ? 1024 : 32768; }

/// F0 - x of some coordinates. values [n, C], target [B, C, n] -> [B, C, n]
torch::Tensor residual_of(const torch::Tensor& values, const torch::Tensor& target) {
  return values.t().unsqueeze(0) - values_of(target, values.scalar_type());
}

/// [C, n, h] as [C n, h].
torch::Tensor rows_of(const torch::Tensor& x) { return x.flatten(0, 1); }

}  // namespace

struct SirenOrigin::Chunk {
  std::int64_t first;
  std::int64_t count;

  /// Of [B, C, N].
  [[nodiscard]] torch::Tensor of(const torch::Tensor& target) const {
    return target.narrow(2, first, count);
  }
};

std::vector<torch::Tensor> SirenOrigin::Pass::tensors() const {
  std::vector<torch::Tensor> result = {values};
  for (const auto* part : {&sines, &cosines, &slopes, &above}) {
    result.insert(result.end(), part->begin(), part->end());
  }
  return result;
}

SirenOrigin::Pass SirenOrigin::Pass::of(std::size_t depth,
                                        const std::vector<torch::Tensor>& tensors) {
  Pass pass;
  pass.values = tensors[0];
  const auto part = [&](std::size_t i) {
    const auto first = tensors.begin() + 1 + static_cast<std::ptrdiff_t>(i * depth);
    const auto left = static_cast<std::size_t>(tensors.end() - first);
    return std::vector<torch::Tensor>(first,
                                      first + static_cast<std::ptrdiff_t>(std::min(depth, left)));
  };
  pass.sines = part(0);
  pass.cosines = part(1);
  pass.slopes = part(2);
  pass.above = part(3);
  return pass;
}

SirenOrigin::SirenOrigin(SirenLayers layers, torch::Tensor points, const SirenWork& work)
    : layers_(std::move(layers)),
      transposed_(1),
      points_(points.contiguous()),
      product_(work.product),
      tasks_(parallel_width(points_.device())) {
  for (std::size_t layer = 1; layer < layers_.depth(); ++layer) {
    transposed_.push_back(layers_.weights[layer].t().contiguous());
  }
  const auto count = points_.size(0);
  // A point has a forward pass and a backward one for each channel.
  const auto most = work.tile_rows > 0
                        ? std::max<std::int64_t>(1, work.tile_rows / (1 + layers_.channels()))
                        : most_chunk_points(points_.device());
  const auto each = std::clamp<std::int64_t>((count + tasks_ - 1) / tasks_, 1, most);
  chunks_ = (count + each - 1) / each;
  chunk_points_ = chunks_ == 0 ? 0 : (count + chunks_ - 1) / chunks_;
}

SirenOrigin::Chunk SirenOrigin::chunk(std::int64_t i) const {
  const auto first = std::min(i * chunk_points_, points_.size(0));
  return {.first = first, .count = std::min(chunk_points_, points_.size(0) - first)};
}

std::int64_t SirenOrigin::pass_bytes() const {
  const auto depth = static_cast<std::int64_t>(layers_.depth());
  return points_.size(0) * layers_.width() * 2 * depth * (1 + layers_.channels()) *
         static_cast<std::int64_t>(points_.element_size());
}

/// x [..., h] weight^T; weight [h, h].
torch::Tensor SirenOrigin::product(const torch::Tensor& x, const torch::Tensor& weight) const {
  const auto rows = x.view({-1, x.size(-1)});
  return product_.multiply(rows, weight, torch::empty_like(rows)).view(x.sizes());
}

SirenOrigin::Pass SirenOrigin::pass(const Chunk& chunk) const {
  const auto depth = layers_.depth();
  const auto& operations = sine_operations(points_.device());
  Pass pass;
  for (std::size_t layer = 0; layer < depth; ++layer) {
    const auto x = layer == 0
                       ? points_.narrow(0, chunk.first, chunk.count).mm(layers_.of_points().t())
                       : product(pass.sines.back(), layers_.weights[layer]);
    pass.sines.push_back(torch::empty_like(x));
    pass.cosines.push_back(torch::empty_like(x));
    operations.sine(x, layers_.biases[layer],
                    {.sines = pass.sines.back(), .cosines = pass.cosines.back()});
  }
  pass.values = at::addmm(layers_.biases.back(), pass.sines.back(), layers_.weights.back().t());

  pass.above.resize(depth - 1);
  pass.slopes.resize(depth);
  pass.slopes.back() = layers_.weights.back().unsqueeze(1) * pass.cosines.back();  // [C, n, h]
  for (auto layer = depth - 1; layer > 0; --layer) {
    pass.above[layer - 1] = product(pass.slopes[layer], transposed_[layer]);
    pass.slopes[layer - 1] = pass.above[layer - 1] * pass.cosines[layer - 1];
  }
  return pass;
}

SirenOrigin::Result SirenOrigin::run(const torch::Tensor& target, Keep keep) const {
  const at::NoGradGuard no_grad;
  const auto images = target.size(0);
  const auto options = points_.options().dtype(torch::kFloat64);
  const auto sums = torch::zeros({tasks_, images, layers_.width()}, options);
  const auto losses = torch::zeros({tasks_, images}, options);
  Result result;
  result.values = torch::empty({points_.size(0), layers_.channels()}, points_.options());
  if (keep == Keep::kPasses) result.passes.resize(chunks());
  parallel_tasks(tasks_, [&](std::int64_t task) {
    for (auto i = chunks_ * task / tasks_; i < chunks_ * (task + 1) / tasks_; ++i) {
      const auto at = chunk(i);
      auto made = pass(at);
      result.values.narrow(0, at.first, at.count).copy_(made.values);
      auto residual = residual_of(made.values, at.of(target));  // [B, C, n]
      losses[task].add_(residual.square().sum({1, 2}, /*keepdim=*/false, torch::kFloat64));
      sums[task].addmm_(residual.mul_(2).flatten(1).to(torch::kFloat64),
                        rows_of(made.slopes.front()).to(torch::kFloat64));
      if (keep == Keep::kPasses) result.passes[static_cast<std::size_t>(i)] = std::move(made);
    }
  });
  result.gradient =
      sums.sum(0).mm(layers_.of_latents().to(torch::kFloat64)).to(points_.scalar_type());
  result.loss = losses.sum(0).to(points_.scalar_type());
  return result;
}

torch::Tensor SirenOrigin::of_jacobian(const Chunk& chunk, const torch::Tensor& target,
                                       const torch::Tensor& values,
                                       const torch::Tensor& gradient) const {
  const auto residual =
      residual_of(values.narrow(0, chunk.first, chunk.count), chunk.of(target)).mul_(2);
  return residual.flatten(1).t().mm(gradient);
}

SirenOrigin::Sums SirenOrigin::sums(const torch::Tensor& target, const torch::Tensor& values,
                                    const torch::Tensor& gradient) const {
  const at::NoGradGuard no_grad;
  const auto channels = layers_.channels();
  Sums result = {
      .of_jacobian = torch::empty({channels, points_.size(0), gradient.size(1)}, points_.options()),
      .of_gradients = gradient.sum(0)};
  parallel_tasks(tasks_, [&](std::int64_t task) {
    for (auto i = chunks_ * task / tasks_; i < chunks_ * (task + 1) / tasks_; ++i) {
      const auto at = chunk(i);
      result.of_jacobian.narrow(1, at.first, at.count)
          .copy_(of_jacobian(at, target, values, gradient).view({channels, at.count, -1}));
    }
  });
  return result;
}

template <typename OfJacobian>
SirenLayers SirenOrigin::backward_from(const OfJacobian& of_jacobian,
                                       const torch::Tensor& of_gradients,
                                       const std::vector<Pass>& passes,
                                       const std::function<void()>& between) const {
  const at::NoGradGuard no_grad;
  const auto of_first = layers_.of_latents().mv(of_gradients);    // Wz s [h]
  const auto transposed = layers_.of_latents().t().contiguous();  // [k, h]
  std::vector<SirenLayers> partial;
  for (std::int64_t task = 0; task < tasks_; ++task) partial.push_back(layers_.zeros());
  parallel_tasks(tasks_, [&](std::int64_t task) {
    auto& sum = partial[static_cast<std::size_t>(task)];
    for (auto i = chunks_ * task / tasks_; i < chunks_ * (task + 1) / tasks_; ++i) {
      const auto at = chunk(i);
      const auto made = passes.empty() ? pass(at) : passes[static_cast<std::size_t>(i)];
      const auto& slopes = made.slopes.front();  // D [C, n, h]
      const auto of_part = of_jacobian(at);      // [C n, k]
      sum.of_latents().addmm_(rows_of(slopes).t(), of_part);
      const auto of_values = slopes.matmul(of_first).mul_(2).t();  // F0' [n, C]
      backward(at, made, of_part.mm(transposed).view(slopes.sizes()), of_values, between, sum);
    }
  });
  auto& sum = partial.front();
  for (std::size_t task = 1; task < partial.size(); ++task) sum.add(partial[task]);
  return std::move(sum);
}

SirenLayers SirenOrigin::backward(const Sums& sums, const std::vector<Pass>& passes,
                                  const std::function<void()>& between) const {
  const auto of_part = [&](const Chunk& at) {
    return sums.of_jacobian.narrow(1, at.first, at.count).flatten(0, 1);
  };
  return backward_from(of_part, sums.of_gradients, passes, between);
}

SirenLayers SirenOrigin::backward(const torch::Tensor& target, const torch::Tensor& values,
                                  const torch::Tensor& gradient,
                                  const std::vector<Pass>& passes) const {
  const auto of_part = [&](const Chunk& at) { return of_jacobian(at, target, values, gradient); };
  return backward_from(of_part, gradient.sum(0), passes, [] {});
}

/// of_slopes: d L / d D [C, n, h]; of_values: d L / d F0 [n, C].
void SirenOrigin::backward(const Chunk& chunk, const Pass& pass, torch::Tensor of_slopes,
                           const torch::Tensor& of_values, const std::function<void()>& between,
                           SirenLayers& sum) const {
  const auto depth = layers_.depth();
  // Through the backward pass, which went from the last layer to the first: d_l = e_l cos a_l,
  // e_{l-1} = d_l W_l; so from the first to the last.
  std::vector<torch::Tensor> of_sums(depth);  // d L / d a_l through cos a_l, [n, h]
  for (std::size_t layer = 0; layer < depth; ++layer) {
    between();
    const bool last = layer + 1 == depth;
    const auto above = last ? layers_.weights.back().unsqueeze(1) : pass.above[layer];
    of_sums[layer] = (of_slopes * above).sum(0).mul_(pass.sines[layer]).neg_();
    of_slopes.mul_(pass.cosines[layer]);  // d L / d e_l
    if (last) {
      sum.weights.back().add_(of_slopes.sum(1));
    } else {
      product_.add_outer(rows_of(pass.slopes[layer + 1]), rows_of(of_slopes),
                         sum.weights[layer + 1]);
      of_slopes = product(of_slopes, layers_.weights[layer + 1]);
    }
  }
  // Through the forward pass.
  sum.weights.back().addmm_(of_values.t(), pass.sines.back());
  sum.biases.back().add_(of_values.sum(0));
  auto gradient = of_values.mm(layers_.weights.back());  // [n, h]
  for (auto layer = depth - 1;; --layer) {
    between();
    gradient.mul_(pass.cosines[layer]).add_(of_sums[layer]);
    sum.biases[layer].add_(gradient.sum(0));
    if (layer == 0) break;
    product_.add_outer(gradient, pass.sines[layer - 1], sum.weights[layer]);
    gradient = product(gradient, transposed_[layer]);
  }
  sum.of_points().addmm_(gradient.t(), points_.narrow(0, chunk.first, chunk.count));
}

}  // namespace gondola
