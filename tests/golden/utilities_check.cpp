#include "tests/golden/utilities_check.hpp"

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "tests/golden/golden_model.hpp"
#include "trainer/coordinates/grid.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/latent/latent_gaussian.hpp"

namespace gondola::golden {
namespace {

double relative_error(const torch::Tensor& actual, const torch::Tensor& expected) {
  TORCH_CHECK(actual.sizes() == expected.sizes(), "shapes differ: ", actual.sizes(), ", ",
              expected.sizes());
  return (actual - expected).abs().max().item<double>() / expected.abs().max().item<double>();
}

void keep_worst(Checks& checks, const std::string& name, double error, double tolerance) {
  auto& check = checks[name];
  check.tolerance = tolerance;
  raise(check.error, error);
}

/// One rank, for the utilities.
class Alone final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce_sum(torch::Tensor&) override {}
  void broadcast(torch::Tensor&, int) override {}
  torch::Tensor all_gather(const torch::Tensor& tensor) override { return tensor.unsqueeze(0); }
  void barrier() override {}
};

}  // namespace

Checks check_utilities(const GoldenFile& file, const std::string& folder) {
  Checks checks;
  Alone alone;
  for (const auto& name : file.names_in("grid")) {
    const auto cross = name.find('x');
    const auto grid = full_grid(std::stol(name.substr(0, cross)), std::stol(name.substr(cross + 1)),
                                torch::TensorOptions().dtype(torch::kFloat64));
    keep_worst(checks, "grid", relative_error(grid.points, file.tensor("grid/" + name)), 1e-10);
  }
  {
    const LatentGaussian fitted(file.tensor("latent_gaussian/latents"));
    const auto expect = [&](const std::string& name, const torch::Tensor& actual) {
      keep_worst(checks, "latent_gaussian",
                 relative_error(actual, file.tensor("latent_gaussian/" + name)), 1e-10);
    };
    expect("mean", fitted.mean());
    expect("covariance", fitted.covariance());
    expect("cholesky", fitted.cholesky());
    expect("samples", fitted.draw(file.tensor("latent_gaussian/normals")));
    keep_worst(
        checks, "slerp",
        relative_error(spherical_interpolation(file.tensor("slerp/a"), file.tensor("slerp/b"),
                                               file.tensor("slerp/t")),
                       file.tensor("slerp/result")),
        1e-10);
  }
  {
    const at::NoGradGuard no_grad;
    const GoldenFile implicit(folder + "/implicit_mnist_h32_k8.h5");
    GoldenModel model(implicit, torch::kFloat64, alone);
    for (const auto& name : file.names_in("other_resolution")) {
      const auto expected = file.tensor("other_resolution/" + name);
      const auto grid = full_grid(expected.size(2), expected.size(3),
                                  torch::TensorOptions().dtype(torch::kFloat64));
      const auto image =
          model.decoder().decode(implicit.tensor("latent").narrow(0, 0, 2), {.coordinates = &grid});
      keep_worst(checks, "other_resolution", relative_error(image, expected), 1e-10);
    }
  }
  {
    const GoldenFile conv(folder + "/conv_cifar_small.h5");
    GoldenModel model(conv, torch::kFloat64, alone);
    const auto images = conv.tensor("input/images");
    const LatentEncoder encoder(model.latent_config(), conv.number("step_size"));
    const auto mean = file.tensor("encode_batch_independent/mean_image").unsqueeze(0);
    const auto expected = file.tensor("encode_batch_independent/latent");
    for (const std::int64_t batch : {std::int64_t{1}, std::int64_t{2}, images.size(0)}) {
      std::vector<torch::Tensor> parts;
      for (const auto& part : images.split(batch)) {
        parts.push_back(
            encoder
                .encode(model.decoder(),
                        {.images = part, .mean_image = mean, .global_images = 1, .origin = {}},
                        LatentEncoder::Graph::kDrop, {})
                .latents);
      }
      keep_worst(checks, "encode_batch_independent", relative_error(torch::cat(parts), expected),
                 1e-10);
    }
  }
  return checks;
}

}  // namespace gondola::golden
