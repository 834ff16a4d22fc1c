#include "trainer/decoders/siren_tiles.hpp"

#include <algorithm>
#include <utility>

#include "trainer/decoders/pixel_target.hpp"
#include "trainer/kernels/parallel_tasks.hpp"
#include "trainer/kernels/sine_operations.hpp"

namespace gondola {
namespace {

/// Of `width` values. On a CPU some MB of work space, a few times a core's cache; on a GPU blocks
/// of 64 MB in float32, for kernels that fill it: 65536 rows of 256.
std::int64_t most_tile_rows(torch::Device device, std::int64_t width) {
  constexpr std::int64_t kGpuValues = std::int64_t{1} << 24;
  return device.is_cpu() ? 1024 : std::max<std::int64_t>(1024, kGpuValues / width);
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

/// Rows of a tile are images by points; they lie together in [B N, ...] for either kind of tile.
struct SirenTiles::Tile {
  std::int64_t first_image;
  std::int64_t images;
  std::int64_t first_point;
  std::int64_t points;

  [[nodiscard]] std::int64_t rows() const { return images * points; }
};

/// One thread's share of the gradients.
struct SirenTiles::Partial {
  SirenLayers layers;        ///< weights[0] and biases[0] stay 0.
  torch::Tensor of_latents;  ///< d loss / d q, [B, h]
  torch::Tensor of_points;   ///< d loss / d Wc^T, [2, h]
};

/// One thread's work space of a tile.
class SirenTiles::Worker {
 public:
  /// @param keeps whether the activations behind the first layer lie in what enter() is given.
  Worker(const SirenTiles& tiles, bool keeps)
      : tiles_(tiles), gradient_(workspace()), next_gradient_(workspace()) {
    for (std::size_t layer = 0; layer < depth(); ++layer) {
      own_.sines.push_back(layer > 0 && keeps ? torch::Tensor() : workspace());
      own_.cosines.push_back(layer == 0 || keeps ? torch::Tensor() : workspace());
    }
  }

  /// Chooses a tile and where its activations lie.
  void enter(const Tile& tile, const Activations& kept) {
    tile_ = tile;
    row_ = tile.first_image * tiles_.points_.size(0) + tile.first_point;
    sines_ = {own_.sines[0].narrow(0, 0, tile.rows())};
    cosines_ = {torch::Tensor()};
    for (std::size_t layer = 1; layer < depth(); ++layer) {
      const bool keeps = !kept.sines.empty();
      const auto first = keeps ? row_ : 0;
      sines_.push_back(
          (keeps ? kept.sines[layer - 1] : own_.sines[layer]).narrow(0, first, tile.rows()));
      cosines_.push_back(
          (keeps ? kept.cosines[layer - 1] : own_.cosines[layer]).narrow(0, first, tile.rows()));
    }
    make_point_table();
  }

  /// The first layer's sines.
  void first_layer() {
    tiles_.operations_.sum_sine(of_points_, of_images(tiles_.of_latents_), sines_[0]);
  }

  void hidden_layers() {
    for (std::size_t layer = 1; layer < depth(); ++layer) {
      const auto product = tiles_.product_.multiply(
          sines_[layer - 1], tiles_.layers_.weights[layer], gradient_.narrow(0, 0, tile_.rows()));
      tiles_.operations_.sine(product, tiles_.layers_.biases[layer],
                              {.sines = sines_[layer], .cosines = cosines_[layer]});
    }
  }

  /// F of the tile's rows, [rows, C].
  void last_layer(torch::Tensor values) const {
    at::addmm_out(values, tiles_.layers_.biases.back(), sines_.back(),
                  tiles_.layers_.weights.back().t());
  }

  /// Adds the gradients of a loss with d loss / d F = `residual` [rows, C] over this tile's rows.
  void backward(const torch::Tensor& residual, Wanted wanted, Partial& sum) {
    const auto& layers = tiles_.layers_;
    const bool weights = wanted == Wanted::kAll;
    auto gradient = gradient_.narrow(0, 0, tile_.rows());
    auto next = next_gradient_.narrow(0, 0, tile_.rows());
    if (weights) {
      sum.layers.weights.back().addmm_(residual.t(), sines_.back());
      sum.layers.biases.back().add_(residual.sum(0));
    }
    const auto last = depth() - 1;
    if (last == 0) {
      at::mm_out(gradient, residual, layers.weights.back());
    } else {
      tiles_.operations_.last_slope(residual, layers.weights.back(), cosines_[last], gradient,
                                    sum.layers.biases[last]);
    }
    for (auto layer = last; layer > 0; --layer) {
      if (weights) {
        tiles_.product_.add_outer(gradient, sines_[layer - 1], sum.layers.weights[layer]);
      }
      next = tiles_.product_.multiply(gradient, tiles_.transposed_[layer], next);
      std::swap(gradient, next);
      if (layer > 1) {
        tiles_.operations_.slope(cosines_[layer - 1], gradient, sum.layers.biases[layer - 1]);
      }
    }
    tiles_.operations_.first_slope(points_, of_points_, of_images(tiles_.of_latents_), gradient,
                                   sum.of_latents.narrow(0, tile_.first_image, tile_.images),
                                   sum.of_points);
  }

  /// Of this worker, for values of the tile's rows: [rows, C].
  [[nodiscard]] torch::Tensor values() {
    if (!values_.defined()) {
      values_ = torch::empty({tiles_.tile_images_ * tiles_.tile_points_, tiles_.layers_.channels()},
                             tiles_.points_.options());
    }
    return values_.narrow(0, 0, tile_.rows());
  }

  /// The tile's rows in [B N, ...].
  [[nodiscard]] torch::Tensor rows_of(const torch::Tensor& x) const {
    return x.narrow(0, row_, tile_.rows());
  }

 private:
  [[nodiscard]] std::size_t depth() const { return tiles_.layers_.depth(); }
  [[nodiscard]] torch::Tensor workspace() const {
    return torch::empty({tiles_.tile_images_ * tiles_.tile_points_, tiles_.layers_.width()},
                        tiles_.points_.options());
  }
  [[nodiscard]] SineTable of_images(const SineTable& all) const {
    return {.sines = all.sines.narrow(0, tile_.first_image, tile_.images),
            .cosines = all.cosines.narrow(0, tile_.first_image, tile_.images)};
  }

  /// Of p, for the tile's coordinates; tiles are visited in their order.
  void make_point_table() {
    if (table_of_ == tile_.first_point) return;
    table_of_ = tile_.first_point;
    points_ = tiles_.points_.narrow(0, tile_.first_point, tile_.points);
    const auto product = points_.mm(tiles_.layers_.of_points().t());
    of_points_ = {.sines = torch::empty_like(product), .cosines = torch::empty_like(product)};
    tiles_.operations_.sine(product, tiles_.layers_.biases[0], of_points_);
  }

  const SirenTiles& tiles_;
  Activations own_;
  torch::Tensor gradient_;  ///< Also of products in the forward pass.
  torch::Tensor next_gradient_;
  torch::Tensor values_;
  std::int64_t table_of_ = -1;  ///< The first coordinate of of_points_.
  torch::Tensor points_;        ///< [points, 2]
  SineTable of_points_;         ///< [points, h]
  Tile tile_{};
  std::int64_t row_ = 0;
  std::vector<torch::Tensor> sines_;    ///< L of [rows, h]
  std::vector<torch::Tensor> cosines_;  ///< The first undefined.
};

SirenTiles::SirenTiles(SirenLayers layers, torch::Tensor points, torch::Tensor latents,
                       const SirenWork& work)
    : layers_(std::move(layers)),
      transposed_(1),
      points_(points.contiguous()),
      latents_(latents.detach()),
      product_(work.product),
      operations_(sine_operations(points_.device())),
      tasks_(parallel_width(points_.device())) {
  const at::NoGradGuard no_grad;
  for (std::size_t layer = 1; layer < layers_.depth(); ++layer) {
    transposed_.push_back(layers_.weights[layer].t().contiguous());
  }
  const auto q = latents_.mm(layers_.of_latents().t());  // [B, h]
  of_latents_ = {.sines = q.sin(), .cosines = q.cos()};

  const auto images = latents_.size(0);
  const auto count = points_.size(0);
  const auto most =
      work.tile_rows > 0 ? work.tile_rows : most_tile_rows(points_.device(), layers_.width());
  const auto rows = std::min(most, std::max<std::int64_t>(divide_up(images * count, tasks_), 64));
  if (count >= rows) {
    tile_images_ = 1;
    tile_points_ = divide_up(count, divide_up(count, rows));
  } else {
    tile_images_ = std::max<std::int64_t>(1, rows / std::max<std::int64_t>(count, 1));
    tile_points_ = count;
  }
}

std::int64_t SirenTiles::tile_count() const {
  if (points_.size(0) == 0) return 0;
  return divide_up(points_.size(0), tile_points_) * divide_up(latents_.size(0), tile_images_);
}

SirenTiles::Tile SirenTiles::tile(std::int64_t i) const {
  const auto groups = divide_up(latents_.size(0), tile_images_);
  const auto image = i % groups * tile_images_;
  const auto point = i / groups * tile_points_;
  return {.first_image = image,
          .images = std::min(tile_images_, latents_.size(0) - image),
          .first_point = point,
          .points = std::min(tile_points_, points_.size(0) - point)};
}

/// visit(worker, tile, task) for all tiles; a task's tiles follow one another.
template <typename F>
void SirenTiles::for_each_tile(const Activations& kept, const F& visit) const {
  const auto tiles = tile_count();
  parallel_tasks(tasks_, [&](std::int64_t task) {
    const auto end = tiles * (task + 1) / tasks_;
    auto i = tiles * task / tasks_;
    if (i == end) return;
    Worker worker(*this, !kept.sines.empty());
    for (; i < end; ++i) visit(worker, tile(i), task);
  });
}

/// visit(worker, tile, task, partial): the sum of all tasks' partial gradients, in their order.
template <typename F>
SirenTiles::Gradients SirenTiles::sum_over_tiles(const Activations& kept, const F& visit) const {
  const at::NoGradGuard no_grad;
  std::vector<Partial> partials;
  for (std::int64_t task = 0; task < tasks_; ++task) {
    partials.push_back({.layers = layers_.zeros(),
                        .of_latents = torch::zeros_like(of_latents_.sines),
                        .of_points = torch::zeros({2, layers_.width()}, points_.options())});
  }
  for_each_tile(kept, [&](Worker& worker, const Tile& tile, std::int64_t task) {
    visit(worker, tile, task, partials[static_cast<std::size_t>(task)]);
  });
  auto& sum = partials.front();
  for (std::size_t task = 1; task < partials.size(); ++task) {
    sum.layers.add(partials[task].layers);
    sum.of_latents.add_(partials[task].of_latents);
    sum.of_points.add_(partials[task].of_points);
  }
  sum.layers.biases[0] = sum.of_latents.sum(0);
  sum.layers.weights[0] = torch::cat({sum.of_points.t(), sum.of_latents.t().mm(latents_)}, 1);
  return {.layers = std::move(sum.layers), .latents = sum.of_latents.mm(layers_.of_latents())};
}

SirenTiles::Activations SirenTiles::allocate_activations() const {
  Activations result;
  const auto rows = latents_.size(0) * points_.size(0);
  for (std::size_t layer = 1; layer < layers_.depth(); ++layer) {
    result.sines.push_back(torch::empty({rows, layers_.width()}, points_.options()));
    result.cosines.push_back(torch::empty({rows, layers_.width()}, points_.options()));
  }
  return result;
}

torch::Tensor SirenTiles::forward(const Activations& kept) const {
  const auto rows = latents_.size(0) * points_.size(0);
  const auto values = torch::empty({rows, layers_.channels()}, points_.options());
  for_each_tile(kept, [&](Worker& worker, const Tile& tile, std::int64_t) {
    worker.enter(tile, kept);
    worker.first_layer();
    worker.hidden_layers();
    worker.last_layer(worker.rows_of(values));
  });
  return values.view({latents_.size(0), points_.size(0), layers_.channels()});
}

SirenTiles::Gradients SirenTiles::backward(const torch::Tensor& gradient, const Activations& kept,
                                           Wanted wanted) const {
  const auto residuals = gradient.contiguous().view({-1, layers_.channels()});
  return sum_over_tiles(kept, [&](Worker& worker, const Tile& tile, std::int64_t, Partial& sum) {
    worker.enter(tile, kept);
    worker.first_layer();
    if (kept.sines.empty()) worker.hidden_layers();
    worker.backward(worker.rows_of(residuals), wanted, sum);
  });
}

SirenTiles::SquaredError SirenTiles::squared_error(const torch::Tensor& target) const {
  const auto images = latents_.size(0);
  const auto errors = torch::zeros({tasks_, images}, points_.options().dtype(torch::kFloat64));
  auto gradients = sum_over_tiles(
      /*kept=*/{}, [&](Worker& worker, const Tile& tile, std::int64_t task, Partial& sum) {
        worker.enter(tile, /*kept=*/{});
        worker.first_layer();
        worker.hidden_layers();
        auto residual = worker.values();  // [rows, C]
        worker.last_layer(residual);
        auto by_image = residual.view({tile.images, tile.points, layers_.channels()});
        by_image.sub_(values_of(target.narrow(0, tile.first_image, tile.images)
                                    .narrow(2, tile.first_point, tile.points),
                                residual.scalar_type())
                          .transpose(1, 2));
        errors[task]
            .narrow(0, tile.first_image, tile.images)
            .add_(by_image.square().sum({1, 2}, /*keepdim=*/false, torch::kFloat64));
        worker.backward(residual.mul_(2), Wanted::kAll, sum);
      });
  return {.per_image = errors.sum(0).to(points_.scalar_type()), .gradients = std::move(gradients)};
}

}  // namespace gondola
