#include "trainer/decoders/siren_decoder.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <memory>

#include "tests/support/relative_error.hpp"
#include "tests/trainer/small_model.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kHeight = 4;
constexpr std::int64_t kWidth = 7;

std::unique_ptr<Decoder> siren(const RunConfig& config, std::int64_t channels = 3) {
  return make_decoder(config, {.channels = channels, .height = kHeight, .width = kWidth},
                      torch::kCPU, nullptr);
}

torch::Tensor latents_of(const RunConfig& config, std::int64_t images) {
  return torch::randn({images, config.latent.size}, at::detail::createCPUGenerator(3),
                      torch::kFloat64);
}

/// The network written out one pixel of one image at a time, its input the concatenation [c, z].
torch::Tensor value_at(Decoder& decoder, const RunConfig& config, double row, double column,
                       const torch::Tensor& latent) {
  const bool sine = config.model.activation == ActivationKind::kSin;
  auto& parameters = decoder.parameters();
  auto x = torch::cat({torch::tensor({row, column}, torch::kFloat64), latent});
  const auto layers = static_cast<std::size_t>(config.model.layers);
  for (std::size_t i = 0; i < layers; ++i) {
    const auto sum = torch::mv(parameters[2 * i], x) + parameters[2 * i + 1];
    x = sine ? at::sin(config.model.w0 * sum) : at::tanh(sum);
  }
  return torch::mv(parameters[2 * layers], x) + parameters[2 * layers + 1];  // [C]
}

double coordinate(std::int64_t i, std::int64_t size) {
  return -1 + 2 * static_cast<double>(i) / static_cast<double>(size - 1);
}

class EachSirenActivation : public testing::TestWithParam<ActivationKind> {};

TEST_P(EachSirenActivation, every_pixel_is_the_network_of_its_row_column_and_latent) {
  auto config = small_config(DecoderKind::kSiren);
  config.model.activation = GetParam();
  const auto decoder = siren(config);
  const auto latents = latents_of(config, 2);
  const auto images = decoder->decode(latents, {});
  ASSERT_EQ(images.sizes().vec(), (std::vector<std::int64_t>{2, 3, kHeight, kWidth}));
  auto expected = torch::empty_like(images);
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t row = 0; row < kHeight; ++row) {
      for (std::int64_t column = 0; column < kWidth; ++column) {
        expected.index_put_({b, torch::indexing::Slice(), row, column},
                            value_at(*decoder, config, coordinate(row, kHeight),
                                     coordinate(column, kWidth), latents[b]));
      }
    }
  }
  EXPECT_LE(relative_error(images, expected), 1e-13);
}

INSTANTIATE_TEST_SUITE_P(SirenDecoder, EachSirenActivation,
                         testing::Values(ActivationKind::kSin, ActivationKind::kTanh));

TEST(SirenDecoder, a_subset_of_the_coordinates_gives_those_pixels_of_the_whole_image) {
  const auto config = small_config(DecoderKind::kSiren);
  const auto decoder = siren(config);
  const auto latents = latents_of(config, 3);
  const auto grid = full_grid(kHeight, kWidth, torch::kFloat64);
  const auto index = torch::tensor({27, 0, 9, 8}, torch::kInt64);
  const auto subset = subset_of(grid, index);
  const auto values = decoder->decode(latents, {.coordinates = &subset});  // [B, C, N]
  const auto whole = decoder->decode(latents, {});
  EXPECT_EQ(values.sizes().vec(), (std::vector<std::int64_t>{3, 3, 4}));
  EXPECT_LE(relative_error(values, values_at(whole, subset)), 1e-14);
  EXPECT_LE(relative_error(values, whole.flatten(2).index_select(2, index)), 1e-14);
}

TEST(SirenDecoder, another_grid_gives_an_image_of_its_size_through_the_same_function) {
  const auto config = small_config(DecoderKind::kSiren);
  const auto decoder = siren(config);
  const auto latents = latents_of(config, 1);
  const auto finer = full_grid(2 * kHeight - 1, 2 * kWidth - 1, torch::kFloat64);
  const auto fine = decoder->decode(latents, {.coordinates = &finer});
  ASSERT_EQ(fine.sizes().vec(), (std::vector<std::int64_t>{1, 3, 7, 13}));
  using torch::indexing::Slice;
  const auto every_second = fine.index({Slice(), Slice(), Slice(0, 7, 2), Slice(0, 13, 2)});
  EXPECT_LE(relative_error(every_second, decoder->decode(latents, {})), 1e-13);
}

TEST(SirenDecoder, sine_layers_start_as_siren_prescribes) {
  auto config = small_config(DecoderKind::kSiren);
  config.model.hidden = 100;
  config.model.w0 = 30;
  const auto decoder = siren(config);
  auto& parameters = decoder->parameters();
  const auto expect_bound = [&](std::size_t i, double bound) {
    const auto largest = parameters[i].abs().max().item<double>();
    EXPECT_LE(largest, bound) << parameters.name(i);
    EXPECT_GE(largest, 0.9 * bound) << parameters.name(i);
  };
  const auto inputs = static_cast<double>(2 + config.latent.size);
  expect_bound(0, 1 / inputs);
  expect_bound(1, 1 / std::sqrt(inputs));
  for (const std::size_t hidden : {2, 4, 6}) {
    expect_bound(hidden, std::sqrt(6.0 / 100) / 30);
  }
  for (const std::size_t bias : {3, 5}) expect_bound(bias, 0.1);
}

TEST(SirenDecoder, other_activations_start_as_linear_layers_do) {
  auto config = small_config(DecoderKind::kSiren);
  config.model.hidden = 100;
  config.model.activation = ActivationKind::kRelu;
  const auto decoder = siren(config);
  auto& parameters = decoder->parameters();
  for (const std::size_t weight : {0, 2, 4, 6}) {
    const double bound = 1 / std::sqrt(static_cast<double>(parameters[weight].size(1)));
    const auto largest = parameters[weight].abs().max().item<double>();
    EXPECT_LE(largest, bound) << weight;
    EXPECT_GE(largest, 0.9 * bound) << weight;
  }
}

TEST(SirenDecoder, bf16_products_stay_near_float32) {
  auto config = small_config(DecoderKind::kSiren, Precision::kFloat32);
  const auto latents = latents_of(config, 2).to(torch::kFloat32);
  const auto exact = siren(config)->decode(latents, {});
  config.trainer.precision = Precision::kBf16;
  const auto rounded = siren(config)->decode(latents, {});
  EXPECT_EQ(rounded.scalar_type(), torch::kFloat32);
  const auto error = relative_error(rounded, exact);
  EXPECT_LE(error, 0.1);
  EXPECT_GE(error, 1e-5) << "the products were not taken in bfloat16";
}

TEST(SirenDecoder, images_are_encoded_in_single_precision_outside_training_in_bf16) {
  constexpr std::int64_t kSide = 300;  // neighbours would have one coordinate in bfloat16
  const auto image = random_images({2, 1, kSide, kSide}, 5, torch::kFloat32);
  const auto encode = [&](Precision precision, const Pass& pass) {
    const auto config = small_config(DecoderKind::kSiren, precision);
    const auto decoder = make_decoder(config, {.channels = 1, .height = kSide, .width = kSide},
                                      torch::kCPU, nullptr);
    return decoder->gradient_at_origin(image, {}, 2, pass).gradient.detach();
  };
  const auto trained = encode(Precision::kBf16, {});
  const at::NoGradGuard no_grad;
  const Pass outside{.normalisation = Normalisation::kRunning};
  const auto mapped = encode(Precision::kBf16, outside);
  EXPECT_TRUE(torch::equal(mapped, encode(Precision::kFloat32, outside)));
  EXPECT_LE(relative_error(mapped, trained), 0.02);
}

TEST(SirenDecoder, tiles_have_the_bytes_of_the_options) {
  auto config = small_config(DecoderKind::kSiren);
  const auto rows = [&] { return dynamic_cast<SirenDecoder&>(*siren(config)).tile_rows(); };
  EXPECT_EQ(rows(), 0);
  config.trainer.tile_bytes = 100 * 7 * 12 * 8 + 1;  // 7 blocks of 12 float64 a row
  EXPECT_EQ(rows(), 100);
}

TEST(SirenDecoder, no_image_gives_no_image_and_latents_of_another_size_are_refused) {
  const auto config = small_config(DecoderKind::kSiren);
  const auto decoder = siren(config);
  EXPECT_EQ(decoder->decode(torch::zeros({0, 4}, torch::kFloat64), {}).sizes().vec(),
            (std::vector<std::int64_t>{0, 3, kHeight, kWidth}));
  EXPECT_THROW(static_cast<void>(decoder->decode(torch::zeros({2, 5}, torch::kFloat64), {})),
               c10::Error);
  EXPECT_FALSE(decoder->couples_images(Normalisation::kBatch));
}

}  // namespace
}  // namespace gondola
