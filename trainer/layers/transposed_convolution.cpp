#include "trainer/layers/transposed_convolution.hpp"

#include <ATen/Dispatch.h>
#include <torch/autograd.h>

#include <algorithm>
#include <vector>

#include "trainer/kernels/cpu_floats.hpp"
#include "trainer/kernels/matrix_product.hpp"
#include "trainer/kernels/parallel_tasks.hpp"
#include "trainer/kernels/patches.hpp"

namespace gondola {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// The patches of so many images at a time as stay in a core's cache.
constexpr std::int64_t kPatchBytes = std::int64_t{1} << 20;

/// A layer as products of matrices: the pixels of its input x are rows of `in` values, and the
/// weight has a patch of output for each of these.
struct Layer {
  PatchGrid grid;
  std::int64_t images = 0, in = 0;
  MatrixProduct chosen;
  std::int64_t parts = 1;  ///< Of the batch, one for each thread.

  Layer(std::int64_t batch, std::int64_t height, std::int64_t width, at::IntArrayRef weight,
        const ConvolutionOptions& options)
      : grid{.height = height,
             .width = width,
             .channels = weight[1],
             .kernel = weight[2],
             .stride = options.stride,
             .padding = options.padding},
        images(batch),
        in(weight[0]),
        chosen(options.product),
        parts(std::clamp<std::int64_t>(parallel_width(), 1, std::max<std::int64_t>(batch, 1))) {}

  [[nodiscard]] std::int64_t pixels() const { return grid.height * grid.width; }
  [[nodiscard]] std::int64_t image_patches() const { return pixels() * grid.patch_values(); }
  [[nodiscard]] std::int64_t image_values() const {
    return grid.channels * grid.output_height() * grid.output_width();
  }

  /// [B, in, H, W] -> [B H W, in]
  [[nodiscard]] torch::Tensor rows(const torch::Tensor& x) const {
    return x.permute({0, 2, 3, 1}).reshape({images * pixels(), in});
  }
  /// [in, out, k, k] -> [in, k k out]
  [[nodiscard]] torch::Tensor matrix(const torch::Tensor& weight) const {
    return weight.permute({0, 2, 3, 1}).reshape({in, grid.patch_values()});
  }

  /// Space for x, and for what the layer makes of it.
  [[nodiscard]] torch::Tensor input(at::TensorOptions options) const {
    return torch::empty({images, in, grid.height, grid.width},
                        options.memory_format(torch::MemoryFormat::ChannelsLast));
  }
  [[nodiscard]] torch::Tensor output(at::TensorOptions options) const {
    return torch::empty({images, grid.channels, grid.output_height(), grid.output_width()},
                        options.memory_format(torch::MemoryFormat::ChannelsLast));
  }

  /// work(part, first image, images) on all threads, a part's blocks one after another.
  template <typename Work>
  void for_blocks(std::int64_t value_bytes, const Work& work) const {
    const auto block = std::max<std::int64_t>(kPatchBytes / (image_patches() * value_bytes), 1);
    parallel_tasks(parts, [&](std::int64_t part) {
      const auto end = images * (part + 1) / parts;
      for (auto first = images * part / parts; first < end; first += block) {
        work(part, first, std::min(block, end - first));
      }
    });
  }

  /// The product for such blocks. A call of oneDNN takes some 10 us, and small sums have it wait
  /// for its own copies.
  [[nodiscard]] MatrixProduct product() const {
    const auto weights = in * grid.patch_values();
    if (images * pixels() * weights < kFewProducts) return {};
    return {chosen.rows(), weights < kFewWeights ? ProductLibrary::kAten : chosen.sums()};
  }

 private:
  static constexpr std::int64_t kFewProducts = std::int64_t{1} << 20;
  static constexpr std::int64_t kFewWeights = 1024;
};

torch::Tensor product_and_patches(const torch::Tensor& x, const torch::Tensor& weight,
                                  const ConvolutionOptions& options) {
  const Layer layer(x.size(0), x.size(2), x.size(3), weight.sizes(), options);
  const auto rows = layer.rows(x);
  const auto matrix = layer.matrix(weight).t();
  const auto y = layer.output(x.options());
  const auto product = layer.product();
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "overlap_add", [&] {
    auto* const output = y.mutable_data_ptr<scalar_t>();
    layer.for_blocks(sizeof(scalar_t), [&](std::int64_t, std::int64_t first, std::int64_t count) {
      const auto pixels = count * layer.pixels();
      const auto patches =
          product.multiply(rows.narrow(0, first * layer.pixels(), pixels), matrix,
                           torch::empty({pixels, layer.grid.patch_values()}, x.options()));
      for (std::int64_t i = 0; i < count; ++i) {
        overlap_add(layer.grid, patches.const_data_ptr<scalar_t>() + i * layer.image_patches(),
                    output + (first + i) * layer.image_values());
      }
    });
  });
  return y;
}

struct Gradients {
  torch::Tensor x, weight;
};

/// Of the above, from the same patches of the gradient in y: in x where there is a weight, in the
/// weight where there is an x.
Gradients gradients_of(const Layer& layer, const torch::Tensor& gradient_in_y,
                       const torch::Tensor& x, const torch::Tensor& weight) {
  const std::vector<std::int64_t> size = {layer.images, layer.grid.channels,
                                          layer.grid.output_height(), layer.grid.output_width()};
  TORCH_CHECK(layer.pixels() > 0 && gradient_in_y.sizes() == at::IntArrayRef(size),
              "the gradient must be like what the layer makes, ", at::IntArrayRef(size), ", got ",
              gradient_in_y.sizes());
  const auto gradient = gradient_in_y.contiguous(torch::MemoryFormat::ChannelsLast);
  const auto options = gradient.options();
  const auto columns = layer.grid.patch_values();
  const bool of_x = weight.defined();
  const bool of_weight = x.defined();
  const auto rows = of_weight ? layer.rows(x) : torch::Tensor();
  const auto matrix = of_x ? layer.matrix(weight) : torch::Tensor();
  const auto for_x = of_x ? layer.input(options) : torch::Tensor();
  const auto x_rows = of_x ? layer.rows(for_x) : torch::Tensor();
  const auto sums =
      of_weight ? torch::zeros({layer.parts, layer.in, columns}, options) : torch::Tensor();
  const auto product = layer.product();
  AT_DISPATCH_FLOATING_TYPES(gradient.scalar_type(), "take_patches", [&] {
    const auto* const given = gradient.const_data_ptr<scalar_t>();
    layer.for_blocks(
        sizeof(scalar_t), [&](std::int64_t part, std::int64_t first, std::int64_t count) {
          const auto begin = first * layer.pixels();
          const auto pixels = count * layer.pixels();
          const auto patches = torch::empty({pixels, columns}, options);
          for (std::int64_t i = 0; i < count; ++i) {
            take_patches(layer.grid, given + (first + i) * layer.image_values(),
                         patches.mutable_data_ptr<scalar_t>() + i * layer.image_patches());
          }
          if (of_x) {
            const auto place = x_rows.narrow(0, begin, pixels);
            const auto made = product.multiply(patches, matrix, place);
            if (!made.is_same(place)) place.copy_(made);
          }
          if (of_weight) {
            auto sum = sums[part];
            product.add_outer(rows.narrow(0, begin, pixels), patches, sum);
          }
        });
  });
  const auto kernel = layer.grid.kernel;
  return {.x = for_x,
          .weight = of_weight ? (layer.parts == 1 ? sums[0] : sums.sum(0))
                                    .view({layer.in, kernel, kernel, layer.grid.channels})
                                    .permute({0, 3, 1, 2})
                              : torch::Tensor()};
}

void keep_options(AutogradContext* context, const ConvolutionOptions& options) {
  auto& kept = context->saved_data;
  kept["stride"] = options.stride;
  kept["padding"] = options.padding;
  kept["rows"] = static_cast<std::int64_t>(options.product.rows());
  kept["sums"] = static_cast<std::int64_t>(options.product.sums());
}

ConvolutionOptions options_of(AutogradContext* context) {
  auto& kept = context->saved_data;
  const auto library = [&](const char* name) {
    return static_cast<ProductLibrary>(kept[name].toInt());
  };
  return {.stride = kept["stride"].toInt(),
          .padding = kept["padding"].toInt(),
          .product = {library("rows"), library("sums")}};
}

// The three products of a layer. Each is linear in either argument, and the others are its
// derivatives.

/// y of x and the weight.
struct Up : torch::autograd::Function<Up> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const ConvolutionOptions& options);
  static tensor_list backward(AutogradContext* context, tensor_list gradients);
};

/// The gradient in x of that in y and the weight.
struct Down : torch::autograd::Function<Down> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& gradient,
                               const torch::Tensor& weight, const ConvolutionOptions& options);
  static tensor_list backward(AutogradContext* context, tensor_list gradients);
};

/// The gradient in the weight of x and that in y.
struct OfWeight : torch::autograd::Function<OfWeight> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& gradient, at::IntArrayRef shape,
                               const ConvolutionOptions& options);
  static tensor_list backward(AutogradContext* context, tensor_list gradients);
};

torch::Tensor Up::forward(AutogradContext* context, const torch::Tensor& x,
                          const torch::Tensor& weight, const ConvolutionOptions& options) {
  context->save_for_backward({x, weight});
  keep_options(context, options);
  return product_and_patches(x, weight, options);
}

tensor_list Up::backward(AutogradContext* context, tensor_list cotangents) {
  const auto saved = context->get_saved_variables();
  const auto& x = saved[0];
  const auto& weight = saved[1];
  const auto& gradient = cotangents[0];
  const auto options = options_of(context);
  const bool of_x = context->needs_input_grad(0);
  const bool of_weight = context->needs_input_grad(1);
  if (!at::GradMode::is_enabled()) {
    const Layer layer(x.size(0), x.size(2), x.size(3), weight.sizes(), options);
    const auto gradients = gradients_of(layer, gradient, of_weight ? x : torch::Tensor(),
                                        of_x ? weight : torch::Tensor());
    return {gradients.x, gradients.weight, {}};
  }
  return {of_x ? Down::apply(gradient, weight, options) : torch::Tensor(),
          of_weight ? OfWeight::apply(x, gradient, weight.sizes(), options) : torch::Tensor(),
          {}};
}

torch::Tensor Down::forward(AutogradContext* context, const torch::Tensor& gradient,
                            const torch::Tensor& weight, const ConvolutionOptions& options) {
  context->save_for_backward({gradient, weight});
  keep_options(context, options);
  const auto input = [&](std::int64_t output) {
    return (output + 2 * options.padding - weight.size(2)) / options.stride + 1;
  };
  const Layer layer(gradient.size(0), input(gradient.size(2)), input(gradient.size(3)),
                    weight.sizes(), options);
  return gradients_of(layer, gradient, {}, weight).x;
}

tensor_list Down::backward(AutogradContext* context, tensor_list gradients) {
  const auto saved = context->get_saved_variables();
  const auto& gradient = saved[0];
  const auto& weight = saved[1];
  const auto options = options_of(context);
  return {context->needs_input_grad(0) ? Up::apply(gradients[0], weight, options) : torch::Tensor(),
          context->needs_input_grad(1)
              ? OfWeight::apply(gradients[0], gradient, weight.sizes(), options)
              : torch::Tensor(),
          {}};
}

torch::Tensor OfWeight::forward(AutogradContext* context, const torch::Tensor& x,
                                const torch::Tensor& gradient, at::IntArrayRef shape,
                                const ConvolutionOptions& options) {
  context->save_for_backward({x, gradient});
  keep_options(context, options);
  const Layer layer(x.size(0), x.size(2), x.size(3), shape, options);
  return gradients_of(layer, gradient, x, {}).weight;
}

tensor_list OfWeight::backward(AutogradContext* context, tensor_list gradients) {
  const auto saved = context->get_saved_variables();
  const auto& x = saved[0];
  const auto& gradient = saved[1];
  const auto options = options_of(context);
  return {
      context->needs_input_grad(0) ? Down::apply(gradient, gradients[0], options) : torch::Tensor(),
      context->needs_input_grad(1) ? Up::apply(x, gradients[0], options) : torch::Tensor(),
      {},
      {}};
}

}  // namespace

torch::Tensor transposed_convolution(const torch::Tensor& x, const torch::Tensor& weight,
                                     const ConvolutionOptions& options) {
  if (is_cpu_floats(x)) return Up::apply(x, weight, options);
  return at::conv_transpose2d(x, weight, {}, options.stride, options.padding);
}

torch::Tensor convolution(const torch::Tensor& gradient, const torch::Tensor& weight,
                          const ConvolutionOptions& options) {
  if (is_cpu_floats(gradient)) return Down::apply(gradient, weight, options);
  return at::conv2d(gradient, weight, {}, options.stride, options.padding);
}

}  // namespace gondola
