#include "trainer/decoders/decoder.hpp"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "tests/trainer/small_model.hpp"
#include "trainer/decoders/conv_decoder.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/objectives/squared_error.hpp"

namespace gondola {
namespace {

constexpr Pass kGroupPass = {.normalisation = Normalisation::kGroup};

std::unique_ptr<ConvDecoder> conv(const RunConfig& config, std::int64_t size = 16) {
  const auto plan =
      conv_plan(config.latent.size, config.latent.spatial, config.model.filters, 3, size);
  const auto parameters = std::make_shared<Parameters>();
  auto decoder = std::make_unique<ConvDecoder>(config.model, config.latent, plan,
                                               config.trainer.precision, parameters, nullptr);
  parameters->allocate(torch::kFloat64, torch::kCPU, config.run.seed);
  return decoder;
}

RunConfig conv_config(ActivationKind activation, BatchNormMode batch_norm = BatchNormMode::kSync) {
  auto config = small_config(DecoderKind::kConv);
  config.model.activation = activation;
  config.model.batch_norm = batch_norm;
  return config;
}

/// Running averages of a plain network, updated by at::batch_norm itself.
struct PlainAverages {
  std::vector<torch::Tensor> mean, variance;
};

/// The decoder as PyTorch's operators spell it, biases in front of batch norm included.
torch::Tensor plain_decode(ConvDecoder& decoder, const Activation& activation,
                           const torch::Tensor& latents, PlainAverages* averages = nullptr,
                           bool training = true) {
  auto& parameters = decoder.parameters();
  const auto& plan = decoder.plan();
  const bool normalised = !decoder.parameters().running_averages().empty();
  const std::size_t stride = normalised ? 4 : 2;
  auto x = latents.dim() == 2 ? latents.unsqueeze(-1).unsqueeze(-1) : latents;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    x = at::conv_transpose2d(x, parameters[i * stride], parameters[i * stride + 1], plan[i].stride,
                             plan[i].padding);
    if (i + 1 == plan.size()) break;
    if (normalised) {
      x = at::batch_norm(x, parameters[i * stride + 2], parameters[i * stride + 3],
                         averages != nullptr ? averages->mean[i] : torch::Tensor(),
                         averages != nullptr ? averages->variance[i] : torch::Tensor(), training,
                         /*momentum=*/0.1, /*eps=*/1e-5, /*cudnn_enabled=*/false);
    }
    x = activation.forward(x);
  }
  return at::sigmoid(x);
}

/// Gradients of `loss` in all parameters; zeros where it does not depend on one.
std::vector<torch::Tensor> parameter_gradients(const torch::Tensor& loss, Parameters& parameters) {
  std::vector<torch::Tensor> inputs;
  for (std::size_t i = 0; i < parameters.count(); ++i) inputs.push_back(parameters[i]);
  auto gradients = torch::autograd::grad({loss}, inputs, {}, {}, false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) gradients[i] = torch::zeros_like(inputs[i]);
  }
  return gradients;
}

bool is_bias_in_front_of_batch_norm(const std::string& name, std::size_t layers) {
  return name.ends_with(".bias") && name.starts_with("dec.conv") &&
         name != "dec.conv" + std::to_string(layers - 1) + ".bias";
}

struct OriginCase {
  ActivationKind activation;
  std::int64_t spatial = 1;
};

class AtTheOrigin : public testing::TestWithParam<OriginCase> {};

TEST_P(AtTheOrigin, the_coupled_gradient_is_double_backward_through_the_whole_batch) {
  auto config = conv_config(GetParam().activation);
  config.latent.spatial = GetParam().spatial;
  const auto decoder = conv(config);
  move_parameters(*decoder, 0.3, 5);
  const Activation activation(config.model.activation, config.model.leaky_slope);
  const auto images = random_images({5, 3, 16, 16}, 6);
  auto shape = decoder->latent_shape();
  shape.insert(shape.begin(), 5);

  const auto origin = torch::zeros(shape, torch::kFloat64).requires_grad_(true);
  const auto losses = squared_error_per_image(plain_decode(*decoder, activation, origin), images);
  const auto expected = torch::autograd::grad({losses.sum()}, {origin}, {}, true, true)[0];
  const auto actual = decoder->gradient_at_origin(images, images.mean(0, /*keepdim=*/true),
                                                  /*global_images=*/5, kGroupPass);
  EXPECT_LE(relative_error(actual.gradient, expected), 1e-11);
  EXPECT_LE(relative_error(actual.loss, losses), 1e-12);
  EXPECT_FALSE(actual.loss.requires_grad());

  // What training does next: a loss of the gradient, differentiated in the parameters.
  const auto directions = torch::randn(shape, at::detail::createCPUGenerator(8), torch::kFloat64);
  const auto further = [&](const torch::Tensor& gradient) {
    return (gradient * directions).sum() + gradient.square().sum();
  };
  const auto expected_gradients = parameter_gradients(further(expected), decoder->parameters());
  const auto actual_gradients =
      parameter_gradients(further(actual.gradient), decoder->parameters());
  for (std::size_t i = 0; i < actual_gradients.size(); ++i) {
    const auto& name = decoder->parameters().name(i);
    if (is_bias_in_front_of_batch_norm(name, decoder->plan().size())) {
      EXPECT_EQ(actual_gradients[i].abs().max().item<double>(), 0) << name;
    } else {
      EXPECT_LE(relative_error(actual_gradients[i], expected_gradients[i]), 1e-9) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    ConvDecoder, AtTheOrigin,
    testing::Values(OriginCase{ActivationKind::kSin}, OriginCase{ActivationKind::kRelu},
                    OriginCase{ActivationKind::kLeakyRelu}, OriginCase{ActivationKind::kTanh},
                    OriginCase{ActivationKind::kElu}, OriginCase{ActivationKind::kSoftplus},
                    OriginCase{ActivationKind::kSwish}, OriginCase{ActivationKind::kElu, 4}));

class EachNormalisation : public testing::TestWithParam<BatchNormMode> {};

TEST_P(EachNormalisation, decode_is_the_stack_of_plain_operators) {
  const auto config = conv_config(ActivationKind::kElu, GetParam());
  for (const std::int64_t size : {16, 28, 32}) {
    const auto decoder = conv(config, size);
    move_parameters(*decoder, 0.3, 5);
    const auto latents = torch::randn({3, 4}, at::detail::createCPUGenerator(1), torch::kFloat64);
    const auto images = decoder->decode(latents, {});
    EXPECT_EQ(images.sizes().vec(), (std::vector<std::int64_t>{3, 3, size, size}));
    EXPECT_LE(
        relative_error(images, plain_decode(*decoder, Activation(ActivationKind::kElu), latents)),
        1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(ConvDecoder, EachNormalisation,
                         testing::Values(BatchNormMode::kSync, BatchNormMode::kLocal,
                                         BatchNormMode::kNone));

TEST(ConvDecoder, biases_in_front_of_batch_norm_get_a_gradient_of_exactly_zero) {
  const auto config = conv_config(ActivationKind::kElu);
  const auto decoder = conv(config);
  move_parameters(*decoder, 0.3, 5);
  const auto images = random_images({5, 3, 16, 16}, 6);
  const LatentEncoder encoder(config.latent, config.latent.step_size);
  const auto encoding = encoder.encode(
      *decoder,
      {.images = images, .mean_image = images.mean(0, true), .global_images = 5, .origin = {}},
      LatentEncoder::Graph::kKeep, {});
  squared_error_per_image(decoder->decode(encoding.latents, {}), images).sum().backward();
  auto& parameters = decoder->parameters();
  int biases = 0;
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    const auto largest = parameters.gradient(i).abs().max().item<double>();
    if (is_bias_in_front_of_batch_norm(parameters.name(i), decoder->plan().size())) {
      EXPECT_EQ(largest, 0) << parameters.name(i);
      ++biases;
    } else {
      EXPECT_GT(largest, 1e-9) << parameters.name(i);
    }
  }
  EXPECT_EQ(biases, 2);
}

TEST(ConvDecoder, from_the_default_initialisation_the_origins_activations_are_exactly_zero) {
  const auto decoder = conv(conv_config(ActivationKind::kElu));
  const auto images = random_images({2, 3, 16, 16}, 6);
  std::vector<PassStatistics> record;
  const auto origin = decoder->gradient_at_origin(
      images, images.mean(0, true), 2, {.normalisation = Normalisation::kGroup, .record = &record});
  ASSERT_EQ(record.size(), 1U);
  auto& parameters = decoder->parameters();
  for (std::size_t layer = 0; layer < record[0].size(); ++layer) {
    EXPECT_TRUE(record[0][layer].mean.equal(parameters[4 * layer + 1])) << "only the bias";
    EXPECT_EQ(record[0][layer].variance.abs().max().item<double>(), 0);
  }
  const auto image = at::sigmoid(parameters[parameters.count() - 1]).view({1, 3, 1, 1});
  EXPECT_LE(relative_error(origin.loss, (image - images).square().sum({1, 2, 3})), 1e-14);
}

TEST(ConvDecoder, the_origin_records_the_statistics_that_a_pass_over_the_batch_records) {
  const auto decoder = conv(conv_config(ActivationKind::kSoftplus));
  move_parameters(*decoder, 0.3, 5);
  const auto images = random_images({4, 3, 16, 16}, 6);
  std::vector<PassStatistics> record;
  const Pass pass{.normalisation = Normalisation::kGroup, .record = &record};
  static_cast<void>(decoder->gradient_at_origin(images, images.mean(0, true), 4, pass));
  static_cast<void>(decoder->decode(torch::zeros({4, 4}, torch::kFloat64), pass));
  ASSERT_EQ(record.size(), 2U);
  for (std::size_t layer = 0; layer < record[0].size(); ++layer) {
    const auto difference = [&](const torch::Tensor& a, const torch::Tensor& b) {
      return (a - b).abs().max().item<double>();
    };
    EXPECT_LE(difference(record[0][layer].mean, record[1][layer].mean), 1e-13) << layer;
    EXPECT_LE(difference(record[0][layer].variance, record[1][layer].variance), 1e-13) << layer;
  }
  EXPECT_GT(record[1][1].variance.max().item<double>(), 1e-3);
}

TEST(ConvDecoder, running_averages_move_by_a_tenth_of_each_pass_as_plain_batch_norms_do) {
  const auto decoder = conv(conv_config(ActivationKind::kElu));
  move_parameters(*decoder, 0.3, 5);
  PlainAverages expected;
  for (const auto& average : decoder->parameters().running_averages()) {
    EXPECT_EQ(average.mean.abs().max().item<double>(), 0);
    EXPECT_EQ(average.variance.sub(1).abs().max().item<double>(), 0);
    expected.mean.push_back(average.mean.clone());
    expected.variance.push_back(average.variance.clone());
  }
  const at::NoGradGuard no_grad;
  for (std::uint64_t pass = 0; pass < 3; ++pass) {
    const auto latents =
        torch::randn({6, 4}, at::detail::createCPUGenerator(pass), torch::kFloat64);
    std::vector<PassStatistics> record;
    static_cast<void>(decoder->decode(latents, {.record = &record}));
    ASSERT_EQ(record.size(), 1U);
    decoder->parameters().update_running_averages(record[0]);
    static_cast<void>(plain_decode(*decoder, Activation(ActivationKind::kElu), latents, &expected));
  }
  for (std::size_t i = 0; i < expected.mean.size(); ++i) {
    EXPECT_LE(relative_error(decoder->parameters().running_averages()[i].mean, expected.mean[i]),
              1e-13);
    EXPECT_LE(
        relative_error(decoder->parameters().running_averages()[i].variance, expected.variance[i]),
        1e-13);
  }
}

TEST(ConvDecoder, with_running_averages_each_image_is_decoded_by_itself) {
  const auto decoder = conv(conv_config(ActivationKind::kElu));
  move_parameters(*decoder, 0.3, 5);
  PlainAverages averages;
  for (auto& average : decoder->parameters().running_averages()) {
    average.mean.uniform_(-0.5, 0.5, at::detail::createCPUGenerator(1));
    average.variance.uniform_(0.2, 2, at::detail::createCPUGenerator(2));
    averages.mean.push_back(average.mean.clone());
    averages.variance.push_back(average.variance.clone());
  }
  const auto latents = torch::randn({5, 4}, at::detail::createCPUGenerator(3), torch::kFloat64);
  std::vector<PassStatistics> record;
  const Pass pass{.normalisation = Normalisation::kRunning, .record = &record};
  const auto together = decoder->decode(latents, pass);
  EXPECT_LE(relative_error(together, plain_decode(*decoder, Activation(ActivationKind::kElu),
                                                  latents, &averages, /*training=*/false)),
            1e-12);
  for (std::int64_t b = 0; b < 5; ++b) {
    EXPECT_LE(
        relative_error(decoder->decode(latents.narrow(0, b, 1), pass), together.narrow(0, b, 1)),
        1e-13);
  }
  EXPECT_TRUE(record.empty()) << "running averages are no batch statistics";
  EXPECT_FALSE(decoder->couples_images(Normalisation::kRunning));
  EXPECT_TRUE(decoder->couples_images(Normalisation::kGroup));
}

TEST(ConvDecoder, statistics_of_another_decoder_are_refused) {
  const auto decoder = conv(conv_config(ActivationKind::kElu));
  const auto layers = decoder->parameters().running_averages().size();
  EXPECT_THROW(decoder->parameters().update_running_averages(
                   {{.layer = layers, .mean = {}, .variance = {}}}),
               c10::Error);
}

TEST(Decoder, multiplies_as_the_config_says) {
  for (const auto kind : {DecoderKind::kConv, DecoderKind::kSiren}) {
    auto config = small_config(kind, Precision::kFloat32);
    const auto library = [&] {
      const ImageShape shape{.channels = 1, .height = 16, .width = 16};
      return make_model(config, {.shape = shape}).decoder->product().rows();
    };
    EXPECT_EQ(library(), ProductLibrary::kAten);
    config.trainer.matmul = Matmul::kOneDnn;
    if (is_available(ProductLibrary::kOneDnn)) {
      EXPECT_EQ(library(), ProductLibrary::kOneDnn);
    }
    config.trainer.precision = Precision::kBf16;
    EXPECT_NE(library(), ProductLibrary::kOneDnn);
  }
}

TEST(ConvDecoder, bf16_products_stay_near_float32) {
  auto config = conv_config(ActivationKind::kElu);
  const auto latents = torch::randn({4, 4}, at::detail::createCPUGenerator(3), torch::kFloat64);
  const auto exact = conv(config)->decode(latents, {});
  config.trainer.precision = Precision::kBf16;
  const auto error = relative_error(conv(config)->decode(latents, {}), exact);
  EXPECT_LE(error, 0.05);
  EXPECT_GE(error, 1e-5) << "the products were not taken in bfloat16";
}

}  // namespace
}  // namespace gondola
