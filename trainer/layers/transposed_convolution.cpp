#include "trainer/layers/transposed_convolution.hpp"

#include <ATen/Dispatch.h>
#include <torch/autograd.h>

#include <algorithm>
#include <tuple>

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

torch::Tensor product_and_patches(const torch::Tensor& x, const torch::Tensor& weight,
                                  Placement placement) {
  const auto images = x.size(0);
  const auto in = x.size(1);
  const PatchGrid grid{.height = x.size(2),
                       .width = x.size(3),
                       .channels = weight.size(1),
                       .kernel = weight.size(2),
                       .stride = placement.stride,
                       .padding = placement.padding};
  const auto pixels = grid.height * grid.width;
  const auto image_patches = pixels * grid.patch_values();
  const auto image_values = grid.channels * grid.output_height() * grid.output_width();
  const auto rows = x.permute({0, 2, 3, 1}).reshape({images * pixels, in});
  const auto matrix = weight.permute({2, 3, 1, 0}).reshape({grid.patch_values(), in});
  const auto y = torch::empty({images, grid.channels, grid.output_height(), grid.output_width()},
                              x.options().memory_format(torch::MemoryFormat::ChannelsLast));
  const auto product = product_on(x.device());

  const auto image_bytes = image_patches * static_cast<std::int64_t>(x.element_size());
  const auto of_thread = (images + parallel_width() - 1) / parallel_width();
  const auto block =
      std::clamp<std::int64_t>(kPatchBytes / image_bytes, 1, std::max<std::int64_t>(of_thread, 1));
  parallel_tasks((images + block - 1) / block, [&](std::int64_t task) {
    const auto first = task * block;
    const auto count = std::min(block, images - first);
    const auto patches =
        product.multiply(rows.narrow(0, first * pixels, count * pixels), matrix,
                         torch::empty({count * pixels, grid.patch_values()}, x.options()));
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "overlap_add", [&] {
      for (std::int64_t i = 0; i < count; ++i) {
        overlap_add(grid, patches.const_data_ptr<scalar_t>() + i * image_patches,
                    y.mutable_data_ptr<scalar_t>() + (first + i) * image_values);
      }
    });
  });
  return y;
}

void keep_placement(AutogradContext* context, Placement placement) {
  context->saved_data["stride"] = placement.stride;
  context->saved_data["padding"] = placement.padding;
}

Placement placement_of(AutogradContext* context) {
  return {.stride = context->saved_data["stride"].toInt(),
          .padding = context->saved_data["padding"].toInt()};
}

/// ATen's backward pass: the gradients in x and in the weight, as far as they are wanted.
std::tuple<torch::Tensor, torch::Tensor> gradients_of(const torch::Tensor& gradient,
                                                      const torch::Tensor& x,
                                                      const torch::Tensor& weight,
                                                      Placement placement, bool of_x,
                                                      bool of_weight) {
  const auto [for_x, for_weight, for_bias] = at::convolution_backward(
      gradient, x, weight, at::OptionalIntArrayRef(), {placement.stride, placement.stride},
      {placement.padding, placement.padding}, /*dilation=*/{1, 1}, /*transposed=*/true,
      /*output_padding=*/{0, 0}, /*groups=*/1, {of_x, of_weight, false});
  return {for_x, for_weight};
}

// The three products of a layer. Each is linear in either argument, and the others are its
// derivatives.

/// y of x and the weight.
struct Up : torch::autograd::Function<Up> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, Placement placement);
  static tensor_list backward(AutogradContext* context, tensor_list gradients);
};

/// The gradient in x of that in y and the weight.
struct Down : torch::autograd::Function<Down> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& gradient,
                               const torch::Tensor& weight, Placement placement);
  static tensor_list backward(AutogradContext* context, tensor_list gradients);
};

/// The gradient in the weight of x and that in y.
struct OfWeight : torch::autograd::Function<OfWeight> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& gradient, at::IntArrayRef shape,
                               Placement placement);
  static tensor_list backward(AutogradContext* context, tensor_list gradients);
};

torch::Tensor Up::forward(AutogradContext* context, const torch::Tensor& x,
                          const torch::Tensor& weight, Placement placement) {
  context->save_for_backward({x, weight});
  keep_placement(context, placement);
  return product_and_patches(x, weight, placement);
}

tensor_list Up::backward(AutogradContext* context, tensor_list gradients) {
  const auto saved = context->get_saved_variables();
  const auto& x = saved[0];
  const auto& weight = saved[1];
  const auto& gradient = gradients[0];
  const auto placement = placement_of(context);
  const bool of_x = context->needs_input_grad(0);
  const bool of_weight = context->needs_input_grad(1);
  if (!at::GradMode::is_enabled()) {
    const auto [for_x, for_weight] = gradients_of(gradient, x, weight, placement, of_x, of_weight);
    return {for_x, for_weight, {}};
  }
  return {of_x ? Down::apply(gradient, weight, placement) : torch::Tensor(),
          of_weight ? OfWeight::apply(x, gradient, weight.sizes(), placement) : torch::Tensor(),
          {}};
}

torch::Tensor Down::forward(AutogradContext* context, const torch::Tensor& gradient,
                            const torch::Tensor& weight, Placement placement) {
  context->save_for_backward({gradient, weight});
  keep_placement(context, placement);
  const auto input = [&](std::int64_t output) {
    return (output + 2 * placement.padding - weight.size(2)) / placement.stride + 1;
  };
  // So that the result has channels last as well, which at::conv2d leaves to chance.
  const auto for_shape = torch::empty(
      {gradient.size(0), weight.size(0), input(gradient.size(2)), input(gradient.size(3))},
      gradient.options().memory_format(torch::MemoryFormat::ChannelsLast));
  return std::get<0>(
      gradients_of(gradient, for_shape, weight, placement, /*of_x=*/true, /*of_weight=*/false));
}

tensor_list Down::backward(AutogradContext* context, tensor_list gradients) {
  const auto saved = context->get_saved_variables();
  const auto& gradient = saved[0];
  const auto& weight = saved[1];
  const auto placement = placement_of(context);
  return {
      context->needs_input_grad(0) ? Up::apply(gradients[0], weight, placement) : torch::Tensor(),
      context->needs_input_grad(1)
          ? OfWeight::apply(gradients[0], gradient, weight.sizes(), placement)
          : torch::Tensor(),
      {}};
}

torch::Tensor OfWeight::forward(AutogradContext* context, const torch::Tensor& x,
                                const torch::Tensor& gradient, at::IntArrayRef shape,
                                Placement placement) {
  context->save_for_backward({x, gradient});
  keep_placement(context, placement);
  const auto for_shape = torch::empty(shape, x.options());
  return std::get<1>(
      gradients_of(gradient, x, for_shape, placement, /*of_x=*/false, /*of_weight=*/true));
}

tensor_list OfWeight::backward(AutogradContext* context, tensor_list gradients) {
  const auto saved = context->get_saved_variables();
  const auto& x = saved[0];
  const auto& gradient = saved[1];
  const auto placement = placement_of(context);
  return {context->needs_input_grad(0) ? Down::apply(gradient, gradients[0], placement)
                                       : torch::Tensor(),
          context->needs_input_grad(1) ? Up::apply(x, gradients[0], placement) : torch::Tensor(),
          {},
          {}};
}

}  // namespace

torch::Tensor transposed_convolution(const torch::Tensor& x, const torch::Tensor& weight,
                                     Placement placement) {
  if (is_cpu_floats(x)) return Up::apply(x, weight, placement);
  return at::conv_transpose2d(x, weight, {}, placement.stride, placement.padding);
}

torch::Tensor convolution(const torch::Tensor& gradient, const torch::Tensor& weight,
                          Placement placement) {
  if (is_cpu_floats(gradient)) return Down::apply(gradient, weight, placement);
  return at::conv2d(gradient, weight, {}, placement.stride, placement.padding);
}

}  // namespace gondola
