#include "launch/benches/reference_step.hpp"

#include <torch/torch.h>

#include <vector>

#include "trainer/decoders/conv_plan.hpp"

namespace gondola {

struct ReferenceStep::Model {
  torch::nn::Sequential network;
  std::vector<torch::nn::Linear> layers;  // siren
  torch::Tensor coordinates;              // [N, 2]
  double w0 = 30;
  bool conv = false;
  std::int64_t latent_size = 0;
  std::unique_ptr<torch::optim::Adam> adam;

  torch::Tensor decode(const torch::Tensor& z, const torch::Tensor& images) {
    if (conv) return network->forward(z.view({z.size(0), latent_size, 1, 1}));
    const auto points = coordinates.size(0);
    auto h = torch::cat({coordinates.unsqueeze(0).expand({z.size(0), points, 2}),
                         z.unsqueeze(1).expand({z.size(0), points, latent_size})},
                        -1);
    for (std::size_t i = 0; i + 1 < layers.size(); ++i) h = torch::sin(w0 * layers[i]->forward(h));
    return layers.back()->forward(h).transpose(1, 2).reshape(images.sizes());
  }
};

ReferenceStep::ReferenceStep(const RunConfig& config, const ImageShape& shape, torch::Device device)
    : model_(std::make_unique<Model>()) {
  auto& m = *model_;
  m.conv = config.model.decoder == DecoderKind::kConv;
  m.latent_size = config.latent.size;
  std::vector<torch::Tensor> parameters;
  if (m.conv) {
    const auto plan =
        conv_plan(config.latent.size, 1, config.model.filters, shape.channels, shape.height);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      m.network->push_back(torch::nn::ConvTranspose2d(
          torch::nn::ConvTranspose2dOptions(plan[i].in, plan[i].out, plan[i].kernel)
              .stride(plan[i].stride)
              .padding(plan[i].padding)));
      if (i + 1 == plan.size()) break;
      m.network->push_back(torch::nn::BatchNorm2d(plan[i].out));
      m.network->push_back(torch::nn::ELU());
    }
    m.network->push_back(torch::nn::Sigmoid());
    m.network->to(device);
    parameters = m.network->parameters();
  } else {
    m.w0 = config.model.w0;
    std::int64_t in = 2 + config.latent.size;
    for (std::int64_t i = 0; i <= config.model.layers; ++i) {
      const auto out = i == config.model.layers ? shape.channels : config.model.hidden;
      m.layers.emplace_back(torch::nn::LinearOptions(in, out));
      m.layers.back()->to(device);
      const torch::NoGradGuard no_grad;
      const double inputs = static_cast<double>(in);
      const double bound = i == 0 ? 1 / inputs : std::sqrt(6 / inputs) / m.w0;
      m.layers.back()->weight.uniform_(-bound, bound);
      for (const auto& parameter : m.layers.back()->parameters()) parameters.push_back(parameter);
      in = out;
    }
    const auto grid = torch::meshgrid(
        {torch::linspace(-1, 1, shape.height), torch::linspace(-1, 1, shape.width)}, "ij");
    m.coordinates = torch::stack({grid[0].flatten(), grid[1].flatten()}, -1).to(device);
  }
  m.adam = std::make_unique<torch::optim::Adam>(
      parameters, torch::optim::AdamOptions(config.optimizer.learning_rate));
}

ReferenceStep::~ReferenceStep() = default;

double ReferenceStep::run(const torch::Tensor& images) {
  auto& m = *model_;
  const auto batch = static_cast<double>(images.size(0));
  const double terms = m.conv ? batch * static_cast<double>(images.size(2) * images.size(3))
                              : batch * static_cast<double>(images.size(1));
  m.adam->zero_grad();
  const auto origin =
      torch::zeros({images.size(0), m.latent_size}, images.options()).requires_grad_();
  const auto inner = (m.decode(origin, images) - images).square().sum() / terms;
  const auto z = -torch::autograd::grad({inner}, {origin}, {}, /*retain_graph=*/true,
                                        /*create_graph=*/true)[0];
  const auto outer = (m.decode(z, images) - images).square().sum() / terms;
  outer.backward();
  m.adam->step();
  return outer.item<double>() * terms / batch;
}

}  // namespace gondola
