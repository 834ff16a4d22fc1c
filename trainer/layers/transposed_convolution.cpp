#include "trainer/layers/transposed_convolution.hpp"

#include <ATen/Dispatch.h>
#include <torch/autograd.h>

#include <algorithm>
#include <tuple>

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
                                  std::int64_t stride, std::int64_t padding) {
  const auto images = x.size(0);
  const auto in = x.size(1);
  const PatchGrid grid{.height = x.size(2),
                       .width = x.size(3),
                       .channels = weight.size(1),
                       .kernel = weight.size(2),
                       .stride = stride,
                       .padding = padding};
  const auto pixels = grid.height * grid.width;
  const auto image_patches = pixels * grid.patch_values();
  const auto image_values = grid.channels * grid.output_height() * grid.output_width();
  const auto rows = x.permute({0, 2, 3, 1}).reshape({images * pixels, in});
  const auto matrix = weight.permute({2, 3, 1, 0}).reshape({grid.patch_values(), in});
  const auto y = torch::empty({images, grid.channels, grid.output_height(), grid.output_width()},
                              x.options().memory_format(torch::MemoryFormat::ChannelsLast));
  // Where there is a choice, oneDNN is at least as fast.
  const auto library =
      is_available(ProductLibrary::kOneDnn) ? ProductLibrary::kOneDnn : ProductLibrary::kAten;
  const MatrixProduct product(library, library);

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

struct TransposedConvolution : torch::autograd::Function<TransposedConvolution> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, std::int64_t stride,
                               std::int64_t padding) {
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    return product_and_patches(x, weight, stride, padding);
  }

  /// ATen's, which is fast, and differentiable in its turn.
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto stride = context->saved_data["stride"].toInt();
    const auto padding = context->saved_data["padding"].toInt();
    const auto result = at::convolution_backward(
        gradients[0], saved[0], saved[1], at::OptionalIntArrayRef(), {stride, stride},
        {padding, padding}, /*dilation=*/{1, 1}, /*transposed=*/true, /*output_padding=*/{0, 0},
        /*groups=*/1, {context->needs_input_grad(0), context->needs_input_grad(1), false});
    return {std::get<0>(result), std::get<1>(result), {}, {}};
  }
};

}  // namespace

torch::Tensor transposed_convolution(const torch::Tensor& x, const torch::Tensor& weight,
                                     std::int64_t stride, std::int64_t padding) {
  const bool has_product = x.device().is_cpu() && (x.scalar_type() == torch::kFloat32 ||
                                                   x.scalar_type() == torch::kFloat64);
  if (!has_product) return at::conv_transpose2d(x, weight, {}, stride, padding);
  return TransposedConvolution::apply(x, weight, stride, padding);
}

}  // namespace gondola
