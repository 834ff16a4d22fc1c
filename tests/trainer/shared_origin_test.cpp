#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "tests/trainer/encoding.hpp"
#include "tests/trainer/small_model.hpp"
#include "trainer/objectives/squared_error.hpp"

namespace gondola {
namespace {

/// C2: the closed form of the inner pass is double backward: latents, losses and every gradient.
struct PathCase {
  ActivationKind activation;
  ImageShape shape;
  std::int64_t images;
};

class SharedOrigin : public testing::TestWithParam<PathCase> {
 protected:
  struct Outcome {
    Encoding encoding;
    torch::Tensor loss;
    std::vector<torch::Tensor> gradients;
  };

  static Outcome run(LatentPath path, Precision precision) {
    auto config = small_config(DecoderKind::kSiren, precision);
    config.model.activation = GetParam().activation;
    config.latent.path = path;
    const auto decoder = make_decoder(config, GetParam().shape, torch::kCPU, nullptr);
    move_parameters(*decoder, 0.1, 9);
    const auto& [channels, height, width] = GetParam().shape;
    const auto images = random_images({GetParam().images, channels, height, width}, 7)
                            .to(decoder->parameters().flat().dtype());
    Outcome outcome;
    outcome.encoding = encode(*decoder, config.latent, input_of(images), Graph::kKeep);
    decoder->parameters().zero_gradient();
    const auto loss =
        squared_error_per_image(decoder->decode(outcome.encoding.latents, kGroupPass), images);
    loss.sum().backward();
    outcome.loss = loss.detach();
    for (std::size_t i = 0; i < decoder->parameters().count(); ++i) {
      outcome.gradients.push_back(decoder->parameters().gradient(i).clone());
    }
    return outcome;
  }

  static void expect_same(Precision precision, double tolerance) {
    const auto shared = run(LatentPath::kSharedOrigin, precision);
    const auto twice = run(LatentPath::kDoubleBackward, precision);
    EXPECT_LE(relative_error(shared.encoding.latents, twice.encoding.latents), tolerance);
    EXPECT_LE(relative_error(shared.encoding.inner_loss, twice.encoding.inner_loss), tolerance);
    EXPECT_LE(relative_error(shared.loss, twice.loss), tolerance);
    for (std::size_t i = 0; i < twice.gradients.size(); ++i) {
      EXPECT_LE(relative_error(shared.gradients[i], twice.gradients[i]), tolerance) << i;
    }
  }
};

TEST_P(SharedOrigin, is_double_backward_in_float64) { expect_same(Precision::kFloat64, 1e-10); }
TEST_P(SharedOrigin, is_double_backward_in_float32) { expect_same(Precision::kFloat32, 2e-5); }

INSTANTIATE_TEST_SUITE_P(Siren, SharedOrigin,
                         testing::Values(PathCase{ActivationKind::kSin, {1, 7, 7}, 2},
                                         PathCase{ActivationKind::kSin, {3, 7, 7}, 5},
                                         PathCase{ActivationKind::kSin, {1, 28, 28}, 65},
                                         PathCase{ActivationKind::kSin, {3, 64, 64}, 2},
                                         PathCase{ActivationKind::kRelu, {3, 5, 6}, 4},
                                         PathCase{ActivationKind::kLeakyRelu, {3, 5, 6}, 4},
                                         PathCase{ActivationKind::kTanh, {3, 5, 6}, 4},
                                         PathCase{ActivationKind::kElu, {3, 5, 6}, 4},
                                         PathCase{ActivationKind::kSoftplus, {3, 5, 6}, 4},
                                         PathCase{ActivationKind::kSwish, {3, 5, 6}, 4}));

TEST(SharedOriginPath, is_taken_where_it_pays_and_told_where_it_is_not) {
  auto config = small_config(DecoderKind::kSiren);
  config.trainer.batch_size = 64;
  const ImageShape colours{.channels = 3, .height = 8, .width = 8};
  EXPECT_EQ(path_in_words(config, colours), "shared origin");
  config.trainer.batch_size = 2;
  EXPECT_NE(path_in_words(config, colours).find("too small"), std::string::npos);
  EXPECT_EQ(resolved_latent(config, colours).path, LatentPath::kDoubleBackward);
  config.trainer.batch_size = 3;
  EXPECT_EQ(path_in_words(config, colours), "shared origin");
  config.latent.origin_stddev = 0.1;
  EXPECT_NE(path_in_words(config, colours).find("random origin"), std::string::npos);
}

}  // namespace
}  // namespace gondola
