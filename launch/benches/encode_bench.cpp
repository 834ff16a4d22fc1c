#include "launch/benches/encode_bench.hpp"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "data/image_source.hpp"
#include "launch/benches/bench_figures.hpp"
#include "launch/benches/one_rank.hpp"
#include "trainer/decoders/siren_decoder.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/evaluation/reconstructor.hpp"
#include "trainer/kernels/matmul_rate.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/model.hpp"
#include "trainer/objectives/squared_error.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kMappedImages = 4096;

/// z = -s d |F(z) - x|^2 / dz at z = 0, through autograd. Batch norm takes the statistics of the
/// images themselves, as training does.
torch::Tensor encode_by_gradient(Decoder& decoder, const torch::Tensor& images, double step_size) {
  const at::AutoGradMode enable_grad(true);
  auto z = zero_origin(decoder, images).requires_grad_(true);
  const Pass pass{.normalisation = Normalisation::kGroup};
  const auto loss = squared_error_per_image(decoder.decode(z, pass), images).sum();
  return -step_size * torch::autograd::grad({loss}, {z})[0];
}

double best_matmul_gflops(torch::Device device) {
  double best = 0;
  if (!device.is_cpu()) {
    return 1e-9 * measure_matmul_rate(torch::TensorOptions(device).dtype(torch::kFloat32));
  }
  for (const auto library : {ProductLibrary::kAten, ProductLibrary::kOneDnn}) {
    if (is_available(library)) best = std::max(best, measure_products(library).rows);
  }
  return best;
}

/// Waits until a tensor is there, on whatever device.
void finish(const torch::Tensor& tensor) { (void)tensor.flatten()[0].item<float>(); }

}  // namespace

std::string bench_encode(const RunConfig& config, const ImageShape& shape, torch::Device device) {
  const auto batch = config.trainer.batch_size;
  const auto source = open_source("synthetic:" + std::to_string(batch) + "x" + text_of(shape),
                                  Split::kTrain, CacheKind::kNone);
  const auto few = to_values(read_pixels(*source, 0, batch), torch::kFloat32, device);
  const auto many =
      few.repeat({(kMappedImages + batch - 1) / batch, 1, 1, 1}).narrow(0, 0, kMappedImages);
  OneRank one;
  const auto model = make_model(config, {.shape = shape, .device = device, .communicator = &one});
  const auto mean_image = few.mean(0, /*keepdim=*/true);
  const Reconstructor reconstructor(config, *model.decoder, *model.objective, mean_image);
  const auto step_size = resolved_step_size(config, shape);
  const std::vector<std::int64_t> ids(static_cast<std::size_t>(kMappedImages));

  const at::NoGradGuard no_grad;
  const auto start = Clock::now();
  auto latents = reconstructor.encode(many, ids);
  finish(latents);
  const auto map_seconds = seconds_since(start);
  const auto expected = encode_by_gradient(*model.decoder, few, step_size);
  const auto difference =
      (latents.narrow(0, 0, batch) - expected).abs().max() / expected.abs().max();

  std::vector<double> mapped, by_gradient, ratios;
  for (std::int64_t i = 0; i < config.bench.repeats; ++i) {
    constexpr int kRounds = 10;
    const auto begin = Clock::now();
    for (int round = 0; round < kRounds; ++round) latents = reconstructor.encode(many, ids);
    finish(latents);
    mapped.push_back(kRounds * kMappedImages / seconds_since(begin));
    const auto again = Clock::now();
    finish(encode_by_gradient(*model.decoder, few, step_size));
    by_gradient.push_back(static_cast<double>(batch) / seconds_since(again));
    ratios.push_back(mapped.back() / by_gradient.back());
  }
  const auto values = static_cast<double>(shape.channels * shape.height * shape.width);
  const auto latent_values =
      static_cast<double>(c10::multiply_integers(model.decoder->latent_shape()));
  const auto gflops = median(mapped) * 2e-9 * values * latent_values;
  const auto best = best_matmul_gflops(device);
  const nlohmann::ordered_json json = {
      {"bench", "encode"},
      {"decoder", config.model.decoder == DecoderKind::kConv ? "conv" : "siren"},
      {"image", text_of(shape)},
      {"latent", config.latent.size},
      {"device", device.is_cuda() ? "cuda" : "cpu"},
      {"threads", at::get_num_threads()},
      {"repeats", config.bench.repeats},
      {"map_seconds", map_seconds},
      {"images_per_second", spread(mapped)},
      {"images_per_second_by_gradient", spread(by_gradient)},
      {"ratio_to_gradient_encode", spread(ratios)},
      {"matmul_gflops", best},
      {"share_of_matmul_rate", gflops / best},
      {"largest_difference", difference.item<double>()}};
  return json.dump();
}

}  // namespace gondola
