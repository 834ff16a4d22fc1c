#include "trainer/decoders/siren_functions.hpp"

#include <torch/autograd.h>

#include <utility>
#include <vector>

#include "trainer/decoders/pixel_target.hpp"
#include "trainer/decoders/siren_origin.hpp"
#include "trainer/decoders/siren_plain.hpp"
#include "trainer/decoders/siren_tiles.hpp"
#include "trainer/parallel/overlapped_reduction.hpp"

namespace gondola {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

void save(AutogradContext* context, const SirenWork& work) {
  context->saved_data["rows"] = static_cast<std::int64_t>(work.product.rows());
  context->saved_data["sums"] = static_cast<std::int64_t>(work.product.sums());
  context->saved_data["tile_rows"] = work.tile_rows;
}

SirenWork work_of(AutogradContext* context) {
  return {.product = {static_cast<ProductLibrary>(context->saved_data["rows"].toInt()),
                      static_cast<ProductLibrary>(context->saved_data["sums"].toInt())},
          .tile_rows = context->saved_data["tile_rows"].toInt()};
}

SirenPlain plain() { return {Activation(ActivationKind::kSin), Precision::kFloat32}; }

/// Layers as they are, with their graphs.
SirenLayers with_graphs(at::TensorList tensors) {
  SirenLayers layers;
  for (std::size_t i = 0; i < tensors.size(); i += 2) {
    layers.weights.push_back(tensors[i]);
    layers.biases.push_back(tensors[i + 1]);
  }
  return layers;
}

/// The gradients of the inputs of f (an alias each, so that one input's history does not lead to
/// another) for the gradient of its output, with a graph. Inputs that need none get none.
template <typename F>
tensor_list differentiable_gradients(AutogradContext* context, const tensor_list& inputs,
                                     const torch::Tensor& gradient, const F& f) {
  tensor_list aliases;
  tensor_list wanted;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    aliases.push_back(inputs[i].view_as(inputs[i]));
    if (!inputs[i].requires_grad() || !context->needs_input_grad(i)) continue;
    wanted.push_back(aliases.back());
    places.push_back(i);
  }
  tensor_list result(inputs.size());
  const auto found = torch::autograd::grad({f(aliases)}, wanted, {gradient}, /*retain_graph=*/true,
                                           /*create_graph=*/true, /*allow_unused=*/true);
  for (std::size_t i = 0; i < places.size(); ++i) result[places[i]] = found[i];
  return result;
}

/// [first, last) of a list.
tensor_list part(const tensor_list& list, std::size_t first, std::size_t last) {
  return {list.begin() + static_cast<std::ptrdiff_t>(first),
          list.begin() + static_cast<std::ptrdiff_t>(last)};
}

/// Gradients in the order of the arguments: latents, points, layers, then what is no tensor.
tensor_list arranged(torch::Tensor latents, const SirenLayers& layers, std::size_t others) {
  tensor_list result = {std::move(latents), {}};
  for (auto& tensor : layers.tensors()) result.push_back(std::move(tensor));
  result.resize(result.size() + others);
  return result;
}

struct Decode : torch::autograd::Function<Decode> {
  enum class Keep : std::int64_t { kNothing, kActivations };

  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& latents,
                               const torch::Tensor& points, at::TensorList layers,
                               const SirenWork& work, Keep keep) {
    const SirenTiles tiles(SirenLayers::of(layers.vec()), points, latents, work);
    SirenTiles::Activations kept;
    if (keep == Keep::kActivations) kept = tiles.allocate_activations();
    tensor_list saved = {latents, points};
    saved.insert(saved.end(), layers.begin(), layers.end());
    saved.insert(saved.end(), kept.sines.begin(), kept.sines.end());
    saved.insert(saved.end(), kept.cosines.begin(), kept.cosines.end());
    context->save_for_backward(saved);
    context->saved_data["inputs"] = static_cast<std::int64_t>(2 + layers.size());
    save(context, work);
    return tiles.forward(kept);
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto inputs = static_cast<std::size_t>(context->saved_data["inputs"].toInt());
    const auto& gradient = gradients[0];
    if (!gradient.defined()) return tensor_list(inputs + 2);
    if (at::GradMode::is_enabled()) {
      auto result = differentiable_gradients(
          context, part(saved, 0, inputs), gradient, [&](const tensor_list& at) {
            return plain().decode(with_graphs(part(at, 2, inputs)), at[1], at[0]);
          });
      result.resize(inputs + 2);
      return result;
    }
    const SirenTiles tiles(SirenLayers::of(part(saved, 2, inputs)), saved[1], saved[0],
                           work_of(context));
    const auto kept = (saved.size() - inputs) / 2;
    bool layers = false;
    for (std::size_t i = 2; i < inputs; ++i) layers = layers || context->needs_input_grad(i);
    const auto result =
        tiles.backward(gradient,
                       {.sines = part(saved, inputs, inputs + kept),
                        .cosines = part(saved, inputs + kept, saved.size())},
                       layers ? SirenTiles::Wanted::kAll : SirenTiles::Wanted::kLatents);
    return arranged(result.latents, result.layers, 2);
  }
};

/// Whether all images weigh the same. The gradient of a sum over the images says so by its stride;
/// of a sum of products it does not, and a GPU is waited for, which a recorded step cannot do.
bool are_alike(const torch::Tensor& weights) {
  return weights.numel() <= 1 || weights.stride(0) == 0 ||
         weights.eq(weights[0]).all().item<bool>();
}

struct SquaredError : torch::autograd::Function<SquaredError> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& latents,
                               const torch::Tensor& points, at::TensorList layers,
                               const torch::Tensor& target, double weight, const SirenWork& work) {
    const SirenTiles tiles(SirenLayers::of(layers.vec()), points, latents, work);
    auto result = tiles.squared_error(target);
    tensor_list saved = {latents, points};
    saved.insert(saved.end(), layers.begin(), layers.end());
    saved.push_back(target);
    saved.push_back(result.gradients.latents);
    for (auto& tensor : result.gradients.layers.tensors()) saved.push_back(std::move(tensor));
    context->save_for_backward(saved);
    context->saved_data["inputs"] = static_cast<std::int64_t>(2 + layers.size());
    context->saved_data["weight"] = weight;
    save(context, work);
    return result.per_image * weight;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto inputs = static_cast<std::size_t>(context->saved_data["inputs"].toInt());
    if (!gradients[0].defined()) return tensor_list(inputs + 3);
    const auto& target = saved[inputs];
    const auto of_points = context->saved_data["weight"].toDouble();
    if (at::GradMode::is_enabled()) {
      auto result = differentiable_gradients(
          context, part(saved, 0, inputs), gradients[0], [&](const tensor_list& at) {
            const auto values = plain().decode(with_graphs(part(at, 2, inputs)), at[1], at[0]);
            return (values.transpose(1, 2) - values_of(target, values.scalar_type()))
                       .square()
                       .sum({1, 2}) *
                   of_points;
          });
      result.resize(inputs + 3);
      return result;
    }
    const bool alike = are_alike(gradients[0]);
    const auto weight = gradients[0] * of_points;  // of the images, [B]
    const auto of_latents = saved[inputs + 1] * weight.unsqueeze(1);
    if (alike) {
      tensor_list result = {of_latents, {}};
      for (std::size_t i = inputs + 2; i < saved.size(); ++i) {
        result.push_back(weight.numel() == 0 ? saved[i] : saved[i] * weight[0]);
      }
      result.resize(inputs + 3);
      return result;
    }
    const SirenTiles tiles(SirenLayers::of(part(saved, 2, inputs)), saved[1], saved[0],
                           work_of(context));
    const auto residual = tiles.forward({}).sub_(
        values_of(target, saved[1].scalar_type()).transpose(1, 2));  // [B, N, C]
    const auto result =
        tiles.backward(residual.mul_(2 * weight.view({-1, 1, 1})), {}, SirenTiles::Wanted::kAll);
    return arranged(result.latents, result.layers, 3);
  }
};

/// The gradients of the layers from the sums of all ranks' batches.
SirenLayers reduced_backward(const SirenOrigin& origin, SirenOrigin::Sums own,
                             const std::vector<SirenOrigin::Pass>& passes,
                             OverlappedReduction& reduction) {
  auto sums = torch::cat({own.of_jacobian.flatten(), own.of_gradients});
  reduction.add_over_ranks(sums);
  const auto first = own.of_jacobian.numel();
  own = {.of_jacobian = sums.narrow(0, 0, first).view(own.of_jacobian.sizes()),
         .of_gradients = sums.narrow(0, first, own.of_gradients.numel())};
  return origin.backward(own, passes, [&reduction] { reduction.progress(); });
}

struct GradientAtOrigin : torch::autograd::Function<GradientAtOrigin> {
  static tensor_list forward(AutogradContext* context, const torch::Tensor& target,
                             const torch::Tensor& points, at::TensorList layers,
                             const SirenWork& work, std::int64_t pass_bytes,
                             OverlappedReduction* reduction) {
    const SirenOrigin origin(SirenLayers::of(layers.vec()), points, work);
    const auto keep = origin.pass_bytes() <= pass_bytes ? SirenOrigin::Keep::kPasses
                                                        : SirenOrigin::Keep::kNothing;
    const auto result = origin.run(target, keep);
    tensor_list saved = {target, points};
    saved.insert(saved.end(), layers.begin(), layers.end());
    saved.push_back(result.values);
    for (const auto& pass : result.passes) {
      for (auto& tensor : pass.tensors()) saved.push_back(std::move(tensor));
    }
    context->save_for_backward(saved);
    context->saved_data["inputs"] = static_cast<std::int64_t>(2 + layers.size());
    context->saved_data["passes"] = static_cast<std::int64_t>(result.passes.size());
    context->saved_data["reduction"] = reinterpret_cast<std::int64_t>(reduction);
    save(context, work);
    context->mark_non_differentiable({result.loss});
    return {result.gradient, result.loss};
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto inputs = static_cast<std::size_t>(context->saved_data["inputs"].toInt());
    const auto& gradient = gradients[0];
    if (!gradient.defined()) return tensor_list(inputs + 3);
    auto* const reduction =
        reinterpret_cast<OverlappedReduction*>(context->saved_data["reduction"].toInt());
    if (at::GradMode::is_enabled()) {
      TORCH_CHECK(reduction == nullptr, "gradients that ranks have added have no graph");
      auto result = differentiable_gradients(
          context, part(saved, 0, inputs), gradient, [&](const tensor_list& at) {
            return plain()
                .gradient_at_origin(with_graphs(part(at, 2, inputs)), at[1],
                                    values_of(at[0], at[1].scalar_type()), torch::kFloat64)
                .gradient;
          });
      result.resize(inputs + 3);
      return result;
    }
    const auto layers = SirenLayers::of(part(saved, 2, inputs));
    const SirenOrigin origin(layers, saved[1], work_of(context));
    std::vector<SirenOrigin::Pass> passes;
    const auto count = static_cast<std::size_t>(context->saved_data["passes"].toInt());
    const auto each = count == 0 ? 0 : (saved.size() - inputs - 1) / count;
    for (std::size_t i = 0; i < count; ++i) {
      const auto first = inputs + 1 + i * each;
      passes.push_back(SirenOrigin::Pass::of(layers.depth(), part(saved, first, first + each)));
    }
    const auto& values = saved[inputs];
    const auto of_layers =
        reduction == nullptr
            ? origin.backward(saved[0], values, gradient, passes)
            : reduced_backward(origin, origin.sums(saved[0], values, gradient), passes, *reduction);
    return arranged({}, of_layers, 3);
  }
};

}  // namespace

torch::Tensor SirenFunctions::decode(const SirenLayers& layers, const torch::Tensor& points,
                                     const torch::Tensor& latents) const {
  const auto tensors = layers.tensors();
  bool differentiated = latents.requires_grad();
  for (const auto& tensor : tensors) differentiated = differentiated || tensor.requires_grad();
  const auto bytes = 2 * static_cast<std::int64_t>(layers.depth() - 1) * latents.size(0) *
                     points.size(0) * layers.width() *
                     static_cast<std::int64_t>(points.element_size());
  const bool keep = differentiated && at::GradMode::is_enabled() && bytes <= activation_bytes;
  return Decode::apply(latents, points, at::TensorList(tensors), work,
                       keep ? Decode::Keep::kActivations : Decode::Keep::kNothing);
}

torch::Tensor SirenFunctions::squared_error(const SirenLayers& layers, const torch::Tensor& points,
                                            const torch::Tensor& latents,
                                            const torch::Tensor& target, double weight) const {
  const auto tensors = layers.tensors();
  return SquaredError::apply(latents, points, at::TensorList(tensors), target.detach(), weight,
                             work);
}

SirenFunctions::Origin SirenFunctions::gradient_at_origin(const SirenLayers& layers,
                                                          const torch::Tensor& points,
                                                          const torch::Tensor& target,
                                                          OverlappedReduction* reduction) const {
  const auto tensors = layers.tensors();
  const auto pass_bytes = at::GradMode::is_enabled() ? activation_bytes / 8 : -1;
  const auto result = GradientAtOrigin::apply(target.detach(), points, at::TensorList(tensors),
                                              work, pass_bytes, reduction);
  return {.gradient = result[0], .loss = result[1]};
}

}  // namespace gondola
