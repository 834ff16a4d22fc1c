#include "trainer/latent/latent_encoder.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <memory>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "tests/trainer/encoding.hpp"
#include "tests/trainer/small_model.hpp"
#include "trainer/objectives/squared_error.hpp"
#include "trainer/optimizer/flat_adam.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kImages = 5;

/// F(z) = W z + b: its encoding has a closed form.
class LinearDecoder final : public Decoder {
 public:
  LinearDecoder(std::int64_t latent_size, const ImageShape& shape)
      : Decoder(std::make_shared<Parameters>()), shape_(shape) {
    parameters().declare({{.name = "W", .shape = {shape.values(), latent_size}, .bound = 1},
                          {.name = "b", .shape = {shape.values()}, .bound = 1}});
    parameters().allocate(torch::kFloat64, torch::kCPU, /*seed=*/4);
  }

  torch::Tensor decode(const torch::Tensor& latents, const Pass&) override {
    return at::linear(latents, weight(), bias())
        .view({latents.size(0), shape_.channels, shape_.height, shape_.width});
  }
  std::vector<std::int64_t> latent_shape() const override { return {weight().size(1)}; }
  bool couples_images(Normalisation) const override { return false; }
  bool shares_origin(Normalisation) const override { return false; }
  OriginGradient gradient_at_origin(const torch::Tensor&, const torch::Tensor&, std::int64_t,
                                    const Pass&) override {
    throw std::logic_error("there is no closed form");
  }

  torch::Tensor weight() const { return parameters()[0]; }  ///< [C H W, k]
  torch::Tensor bias() const { return parameters()[1]; }    ///< [C H W]

 private:
  ImageShape shape_;
};

torch::Tensor images_of(DecoderKind kind, std::int64_t count = kImages) {
  return kind == DecoderKind::kConv ? random_images({count, 1, 16, 16}, 7)
                                    : random_images({count, 2, 5, 6}, 7);
}

std::unique_ptr<Decoder> decoder_of(const RunConfig& config) {
  const bool conv = config.model.decoder == DecoderKind::kConv;
  const ImageShape shape = conv ? ImageShape{.channels = 1, .height = 16, .width = 16}
                                : ImageShape{.channels = 2, .height = 5, .width = 6};
  auto decoder = make_decoder(config, shape, torch::kCPU, nullptr);
  move_parameters(*decoder, 0.1, 9);
  return decoder;
}

class WithLinearDecoder : public testing::Test {
 protected:
  ImageShape shape{.channels = 2, .height = 3, .width = 2};
  LinearDecoder decoder{4, shape};
  torch::Tensor images = random_images({kImages, 2, 3, 2}, 3);
  LatentSection config = {.size = 4, .step_size = 0.03};

  /// W^T (x_b - b) for each image, [B, k].
  torch::Tensor projected_residual() const {
    return (images.flatten(1) - decoder.bias()).matmul(decoder.weight());
  }
};

TEST_F(WithLinearDecoder, one_step_is_the_closed_form) {
  const auto encoding = encode(decoder, config, input_of(images));
  EXPECT_LE(relative_error(encoding.latents, 2 * 0.03 * projected_residual()), 1e-14);
  const auto loss = (images.flatten(1) - decoder.bias()).square().sum(1);
  EXPECT_LE(relative_error(encoding.inner_loss, loss), 1e-14);
}

TEST_F(WithLinearDecoder, descent_from_a_random_origin_is_the_closed_form_recursion) {
  config.steps = 3;
  config.update = LatentUpdate::kDescent;
  auto input = input_of(images);
  input.origin = torch::randn({kImages, 4}, at::detail::createCPUGenerator(5), torch::kFloat64);
  const auto before = input.origin.clone();
  auto z = input.origin;
  const auto gram = decoder.weight().t().matmul(decoder.weight());
  for (int i = 0; i < 3; ++i) z = z - 2 * 0.03 * (z.matmul(gram) - projected_residual());
  EXPECT_LE(relative_error(encode(decoder, config, input).latents, z), 1e-13);
  EXPECT_TRUE(input.origin.equal(before));
  EXPECT_FALSE(input.origin.requires_grad());
}

TEST_F(WithLinearDecoder, the_gradient_update_forgets_where_it_started_but_for_the_gradient) {
  config.update = LatentUpdate::kGradient;
  auto input = input_of(images);
  input.origin = torch::randn({kImages, 4}, at::detail::createCPUGenerator(5), torch::kFloat64);
  const auto gram = decoder.weight().t().matmul(decoder.weight());
  const auto expected = -2 * 0.03 * (input.origin.matmul(gram) - projected_residual());
  EXPECT_LE(relative_error(encode(decoder, config, input).latents, expected), 1e-13);
}

TEST_F(WithLinearDecoder, images_that_are_no_batch_are_refused) {
  auto input = input_of(images);
  input.images = images[0];
  try {
    static_cast<void>(encode(decoder, config, input));
    FAIL() << "a single image was taken for a batch";
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what()).find("must be [B, C, H, W], got [2, 3, 2]"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(WithLinearDecoder, a_step_size_that_is_not_positive_is_refused) {
  EXPECT_THROW(LatentEncoder(config, 0), c10::Error);
  EXPECT_THROW(LatentEncoder(config, -1), c10::Error);
}

class EachDecoder : public testing::TestWithParam<DecoderKind> {
 protected:
  RunConfig config = small_config(GetParam());
  std::unique_ptr<Decoder> decoder = decoder_of(config);
  torch::Tensor images = images_of(GetParam());

  /// The outer loss of encoded images, as training has it.
  torch::Tensor outer_loss(Graph graph) {
    const auto encoding = encode(*decoder, config.latent, input_of(images), graph);
    return squared_error_per_image(decoder->decode(encoding.latents, kGroupPass), images).sum();
  }

  /// Holds the flat gradient of the outer loss against differences of the loss along some
  /// directions.
  void expect_gradient_of_outer_loss() {
    auto& parameters = decoder->parameters();
    parameters.zero_gradient();
    outer_loss(Graph::kKeep).backward();
    const auto gradient = parameters.flat_gradient().clone();
    const at::NoGradGuard no_grad;
    const auto weights = parameters.flat().clone();
    constexpr double kStep = 1e-5;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      auto direction =
          torch::randn(weights.sizes(), at::detail::createCPUGenerator(seed), torch::kFloat64);
      const auto loss_at = [&](double distance) {
        parameters.flat().copy_(weights + distance * direction);
        return outer_loss(Graph::kDrop).item<double>();
      };
      const double expected = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
      const double actual = gradient.dot(direction).item<double>();
      EXPECT_NEAR(actual / expected, 1, 2e-6) << "direction " << seed;
    }
    parameters.flat().copy_(weights);
  }
};

TEST_P(EachDecoder, the_outer_gradient_goes_through_the_encoding) {
  expect_gradient_of_outer_loss();
}

TEST_P(EachDecoder, the_outer_gradient_goes_through_every_joint_step) {
  config.latent.steps = 3;
  config.latent.update = LatentUpdate::kDescent;
  expect_gradient_of_outer_loss();
}

TEST_P(EachDecoder, detached_latents_are_constants_of_the_outer_loss) {
  config.latent.detach = true;
  auto& parameters = decoder->parameters();
  outer_loss(Graph::kKeep).backward();
  const auto detached = parameters.flat_gradient().clone();

  const auto encoding = encode(*decoder, config.latent, input_of(images), Graph::kKeep);
  EXPECT_FALSE(encoding.latents.requires_grad());
  parameters.zero_gradient();
  squared_error_per_image(decoder->decode(encoding.latents.clone(), kGroupPass), images)
      .sum()
      .backward();
  EXPECT_LE(relative_error(detached, parameters.flat_gradient()), 1e-14);

  config.latent.detach = false;
  parameters.zero_gradient();
  outer_loss(Graph::kKeep).backward();
  EXPECT_GE(relative_error(detached, parameters.flat_gradient()), 1e-3)
      << "the encoding should matter";
}

TEST_P(EachDecoder, it_works_without_grad_mode_and_gives_the_same_latents) {
  const auto kept = encode(*decoder, config.latent, input_of(images), Graph::kKeep);
  EXPECT_TRUE(kept.latents.requires_grad());
  EXPECT_FALSE(kept.inner_loss.requires_grad());
  const at::NoGradGuard no_grad;
  const auto dropped = encode(*decoder, config.latent, input_of(images), Graph::kDrop);
  EXPECT_FALSE(dropped.latents.requires_grad());
  EXPECT_LE(relative_error(dropped.latents, kept.latents), 1e-14);
  EXPECT_FALSE(at::GradMode::is_enabled());
}

TEST_P(EachDecoder, encoding_leaves_the_parameters_gradients_alone) {
  auto& parameters = decoder->parameters();
  parameters.flat_gradient().fill_(7);
  for (const auto graph : {Graph::kKeep, Graph::kDrop}) {
    for (const std::int64_t steps : {1, 3}) {
      config.latent.steps = steps;
      static_cast<void>(encode(*decoder, config.latent, input_of(images), graph));
      EXPECT_TRUE(parameters.flat_gradient().eq(7).all().item<bool>());
    }
  }
}

TEST_P(EachDecoder, several_steps_are_single_steps_repeated) {
  for (const auto update : {LatentUpdate::kGradient, LatentUpdate::kDescent}) {
    config.latent.update = update;
    config.latent.steps = 4;
    const auto at_once = encode(*decoder, config.latent, input_of(images));
    config.latent.steps = 1;
    auto input = input_of(images);
    for (int step = 0; step < 4; ++step) {
      input.origin = encode(*decoder, config.latent, input).latents;
    }
    EXPECT_LE(relative_error(at_once.latents, input.origin), 1e-12);
  }
}

TEST_P(EachDecoder, a_given_origin_of_zero_gives_the_latents_of_no_given_origin) {
  const auto without = encode(*decoder, config.latent, input_of(images), Graph::kKeep);
  auto input = input_of(images);
  input.origin = torch::zeros_like(without.latents);
  const auto with = encode(*decoder, config.latent, input, Graph::kKeep);
  EXPECT_LE(relative_error(with.latents, without.latents), 1e-11);
  EXPECT_LE(relative_error(with.inner_loss, without.inner_loss), 1e-12);
}

TEST_P(EachDecoder, an_encoding_without_graph_follows_the_weights_and_the_mean_image) {
  const auto agree = [&] {
    const auto kept = encode(*decoder, config.latent, input_of(images), Graph::kKeep).latents;
    const auto dropped = encode(*decoder, config.latent, input_of(images), Graph::kDrop).latents;
    EXPECT_LE(relative_error(dropped, kept), 1e-12);
    return dropped.clone();
  };
  const auto first = agree();
  move_parameters(*decoder, 0.01, 77);
  const auto moved = agree();
  EXPECT_GE(relative_error(moved, first), 1e-4);
  {
    const at::NoGradGuard no_grad;
    decoder->parameters()[0].mul_(1.01);
  }
  const auto scaled = agree();
  EXPECT_GE(relative_error(scaled, moved), 1e-6);
  // The optimiser and collectives write past autograd's count of changes.
  auto& flat = decoder->parameters().flat();
  FlatAdam adam({}, flat.numel(), flat.options());
  auto gradient = torch::ones_like(flat);
  adam.step(flat, gradient, at::scalar_tensor(1e-3, torch::kFloat64),
            torch::zeros({}, torch::kFloat32));
  const auto stepped = agree();
  EXPECT_GE(relative_error(stepped, scaled), 1e-6);
  flat.mutable_data_ptr<double>()[0] += 0.1;
  EXPECT_GE(relative_error(agree(), stepped), 1e-6);
  images = images * 0.5;  // another batch, with another mean image
  (void)agree();
}

TEST_P(EachDecoder, encode_is_the_same_however_the_batch_is_split) {
  // Coupled images share the mean image and the count of the whole batch.
  const auto whole = encode(*decoder, config.latent, input_of(images), Graph::kKeep);
  std::vector<torch::Tensor> latents, losses, without_graph;
  for (const auto& [first, count] : {std::pair{0, 1}, {1, 0}, {1, 3}, {4, 1}}) {
    auto input = input_of(images);
    input.images = images.narrow(0, first, count);
    const auto part = encode(*decoder, config.latent, input, Graph::kKeep);
    EXPECT_EQ(part.latents.size(0), count);
    without_graph.push_back(encode(*decoder, config.latent, input, Graph::kDrop).latents);
    latents.push_back(part.latents);
    losses.push_back(part.inner_loss);
  }
  EXPECT_LE(relative_error(torch::cat(latents), whole.latents), 1e-13);
  EXPECT_LE(relative_error(torch::cat(losses), whole.inner_loss), 1e-13);
  EXPECT_LE(relative_error(torch::cat(without_graph), whole.latents), 1e-13);
}

INSTANTIATE_TEST_SUITE_P(LatentEncoder, EachDecoder,
                         testing::Values(DecoderKind::kSiren, DecoderKind::kConv),
                         [](const auto& kind) {
                           return kind.param == DecoderKind::kSiren ? "siren" : "conv";
                         });

TEST(LatentEncoder, a_list_of_coordinates_encodes_from_those_pixels_alone) {
  auto config = small_config(DecoderKind::kSiren);
  const auto decoder = decoder_of(config);
  const auto images = images_of(DecoderKind::kSiren);
  const auto subset =
      subset_of(full_grid(5, 6, torch::kFloat64), torch::tensor({0, 7, 29}, torch::kInt64));
  const LatentEncoder encoder(config.latent, 0.02);
  const Pass pass{.coordinates = &subset};
  const auto latents = encoder.encode(*decoder, input_of(images), Graph::kDrop, pass).latents;

  auto elsewhere = torch::rand_like(images);
  elsewhere.flatten(2).index_copy_(2, subset.index,
                                   images.flatten(2).index_select(2, subset.index));
  const auto same = encoder.encode(*decoder, input_of(elsewhere), Graph::kDrop, pass).latents;
  EXPECT_LE(relative_error(same, latents), 1e-14);
  EXPECT_GE(relative_error(encode(*decoder, config.latent, input_of(images)).latents, latents),
            0.1);
}

TEST(PublishedScale, divides_by_the_global_batch_and_what_the_paper_averages_over) {
  EXPECT_DOUBLE_EQ(published_scale(DecoderKind::kSiren, 64, 3, 28, 28), 1.0 / (64 * 3));
  EXPECT_DOUBLE_EQ(published_scale(DecoderKind::kConv, 64, 3, 28, 32), 1.0 / (64 * 28 * 32));
}

}  // namespace
}  // namespace gondola
