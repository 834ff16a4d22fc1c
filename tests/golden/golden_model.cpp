#include "tests/golden/golden_model.hpp"

#include <map>
#include <vector>

#include "trainer/decoders/conv_decoder.hpp"

namespace gondola::golden {
namespace {

ActivationKind activation_named(const std::string& name) {
  const std::map<std::string, ActivationKind> kinds = {
      {"sin", ActivationKind::kSin},    {"relu", ActivationKind::kRelu},
      {"elu", ActivationKind::kElu},    {"leaky_relu", ActivationKind::kLeakyRelu},
      {"tanh", ActivationKind::kTanh},  {"softplus", ActivationKind::kSoftplus},
      {"swish", ActivationKind::kSwish}};
  const auto found = kinds.find(name);
  if (found == kinds.end()) throw UnknownMethod("activation '" + name + "'");
  return found->second;
}

}  // namespace

Slice uneven_slice(std::int64_t images, int rank, int world) {
  std::int64_t end = images;
  for (int r = world - 1; r > rank; --r) end -= end / 2 + end % 2;
  const std::int64_t count = rank == 0 ? end : end / 2 + end % 2;
  return {.first = end - count, .count = count};
}

Family family_of(const GoldenFile& file) {
  const std::map<std::string, Family> families = {{"gon", Family::kGon},
                                                  {"vgon", Family::kVgon},
                                                  {"classifier", Family::kClassifier},
                                                  {"joint", Family::kJoint},
                                                  {"ae", Family::kAutoencoder},
                                                  {"tied_ae", Family::kTiedAutoencoder},
                                                  {"vae", Family::kVae},
                                                  {"glo", Family::kGlo}};
  const auto found = families.find(file.text("method"));
  if (found == families.end()) throw UnknownMethod("method '" + file.text("method") + "'");
  return found->second;
}

GoldenModel::GoldenModel(const GoldenFile& file, torch::ScalarType dtype,
                         Communicator& communicator, bool latent_constant, LatentPath path)
    : file_(file), dtype_(dtype), communicator_(communicator), family_(family_of(file)) {
  batch_ = file.tensor("input/images").size(0);
  slice_ = uneven_slice(batch_, communicator.rank(), communicator.size());
  make_model(latent_constant, path);
  load_weights();
}

LatentSection GoldenModel::latent_config() const {
  LatentSection latent;
  latent.size = file_.integer("latent", 0);
  latent.spatial = file_.integer("latent_spatial", 1);
  latent.steps = file_.integer("steps", 1);
  latent.detach = file_.integer("detach", 0) != 0;
  latent.update =
      file_.text("rule") == "descent" ? LatentUpdate::kDescent : LatentUpdate::kGradient;
  return latent;
}

void GoldenModel::make_model(bool latent_constant, LatentPath path) {
  const auto images = golden("input/images");
  RunConfig config;
  config.trainer.precision = dtype_ == torch::kFloat64 ? Precision::kFloat64 : Precision::kFloat32;
  config.trainer.batch_size = batch_;
  config.latent = latent_config();
  config.latent.detach = config.latent.detach || latent_constant;
  config.latent.path = path;
  config.latent.step_size = file_.number("step_size", 1);
  config.latent.origin_stddev = file_.number("z0_sigma", 0);
  config.latent.table_rate = file_.number("latent_lr_adam", 1);
  auto& model = config.model;
  model.family = family_;
  model.activation = activation_named(file_.text("activation"));
  model.leaky_slope = file_.number("leaky_slope", 0.01);
  model.batch_norm = BatchNormMode::kSync;
  model.classes = file_.integer("classes", 0);
  model.class_weight = file_.number("ce_scale", 0) * static_cast<double>(batch_);
  model.divergence_weight = file_.number("kl_weight", 1);
  if (file_.text("family") == "implicit") {
    model.decoder = DecoderKind::kSiren;
    model.hidden = file_.integer("hidden", 0);
    model.layers = file_.integer("hidden_layers", 0);
    model.w0 = file_.number("w0", 30);
  } else {
    model.decoder = DecoderKind::kConv;
    model.filters = file_.integer("ngf", 0);
  }
  const ModelUse use{
      .shape = {.channels = images.size(1), .height = images.size(2), .width = images.size(3)},
      .communicator = &communicator_,
      .training_images = family_ == Family::kGlo ? batch_ : 0};
  model_ = gondola::make_model(config, use);

  if (const auto* conv = dynamic_cast<const ConvDecoder*>(model_.decoder.get())) {
    const auto rows = golden("layers");
    std::vector<ConvLayer> plan;
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      const auto* row = rows[i].data_ptr<std::int64_t>();
      plan.push_back({row[0], row[1], row[2], row[3], row[4]});
    }
    TORCH_CHECK(plan == conv->plan(), "the decoder's layers are not those of ", file_.path());
  }
}

torch::Tensor GoldenModel::parameter(const std::string& name) const {
  auto& parameters = model_.parameters();
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    if (parameters.name(i) == name) return parameters[i].detach();
  }
  TORCH_CHECK(false, "the model has no parameter ", name);
}

void GoldenModel::load_weights() {
  const at::NoGradGuard no_grad;
  auto& parameters = model_.parameters();
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    parameters.slice_of(parameters.flat(), i).copy_(golden("params/" + parameters.name(i)));
  }
  for (auto& average : model_.parameters().running_averages()) {
    average.mean.copy_(golden("buffers/before/" + average.name + ".running_mean"));
    average.variance.copy_(golden("buffers/before/" + average.name + ".running_var"));
  }
}

}  // namespace gondola::golden
