#include "tests/golden/case_check.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <sstream>

#include "trainer/decoders/conv_decoder.hpp"
#include "trainer/decoders/siren_decoder.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/objectives/squared_error.hpp"
#include "trainer/optimizer/flat_adam.hpp"

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

/// Raises `worst` to `error`; an error that is not finite is the worst of all.
void raise(double& worst, double error) {
  worst = std::max(worst, std::isfinite(error) ? error : INFINITY);
}

/// A golden file's model with its weights, on one rank's slice of its batch.
class Case {
 public:
  Case(const GoldenFile& file, torch::ScalarType dtype, Communicator& communicator)
      : file_(file), dtype_(dtype), communicator_(communicator) {
    if (file.text("method") != "gon") throw UnknownMethod("method '" + file.text("method") + "'");
    batch_ = file.tensor("input/images").size(0);
    slice_ = uneven_slice(batch_, communicator.rank(), communicator.size());
    make_decoder();
    load_weights();
  }

  Checks run(bool latent_constant, LatentPath path);

  /// The file's tensor, whole, in float64.
  torch::Tensor golden(const std::string& name) const { return file_.tensor(name); }
  /// This rank's rows of one of the file's tensors, in the dtype of the run.
  torch::Tensor mine(const std::string& name) const { return cut(golden(name)).to(dtype_); }
  Decoder& decoder() { return *decoder_; }
  LatentSection latent_config() const;

 private:
  torch::Tensor cut(const torch::Tensor& whole) const {
    return whole.narrow(0, slice_.first, slice_.count);
  }
  void make_decoder();
  void load_weights();
  double worst_over_ranks(double error) const {
    return communicator_.all_gather(torch::full({1}, error, torch::kFloat64)).max().item<double>();
  }
  double tolerance(const std::string& quantity) const;
  void compare(Checks& checks, const std::string& quantity, const torch::Tensor& actual,
               const torch::Tensor& expected, const torch::Tensor& whole) const;
  void compare_gradients(Checks& checks, const std::string& group) const;
  void compare_after_adam(Checks& checks);
  void compare_buffers(Checks& checks, const std::vector<PassStatistics>& passes);
  bool zero_gradient(const std::string& name) const {
    std::istringstream names(file_.text("zero_gradients"));
    for (std::string one; std::getline(names, one, ',');) {
      if (one == name) return true;
    }
    return false;
  }

  const GoldenFile& file_;
  torch::ScalarType dtype_;
  Communicator& communicator_;
  std::int64_t batch_ = 0;
  Slice slice_;
  std::unique_ptr<Decoder> decoder_;
};

LatentSection Case::latent_config() const {
  LatentSection latent;
  latent.size = file_.integer("latent", 0);
  latent.spatial = file_.integer("latent_spatial", 1);
  latent.steps = file_.integer("steps", 1);
  latent.detach = file_.integer("detach", 0) != 0;
  latent.update =
      file_.text("rule") == "descent" ? LatentUpdate::kDescent : LatentUpdate::kGradient;
  return latent;
}

void Case::make_decoder() {
  const auto images = golden("input/images");
  ModelSection model;
  model.activation = activation_named(file_.text("activation"));
  model.leaky_slope = file_.number("leaky_slope", 0.01);
  model.batch_norm = BatchNormMode::kSync;
  if (file_.text("family") == "implicit") {
    model.hidden = file_.integer("hidden", 0);
    model.layers = file_.integer("hidden_layers", 0);
    model.w0 = file_.number("w0", 30);
    decoder_ = std::make_unique<SirenDecoder>(model, latent_config(), images.size(1),
                                              images.size(2), images.size(3), dtype_,
                                              Precision::kFloat64, torch::kCPU, /*seed=*/0);
    return;
  }
  const auto rows = golden("layers");
  std::vector<ConvLayer> plan;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    const auto* row = rows[i].data_ptr<std::int64_t>();
    plan.push_back({row[0], row[1], row[2], row[3], row[4]});
  }
  const auto latent = latent_config();
  TORCH_CHECK(plan == conv_plan(latent.size, latent.spatial, file_.integer("ngf", 0),
                                images.size(1), images.size(2)),
              "the decoder's layers are not those of ", file_.path());
  decoder_ = std::make_unique<ConvDecoder>(model, latent, plan, dtype_, Precision::kFloat64,
                                           torch::kCPU, /*seed=*/0, &communicator_);
}

void Case::load_weights() {
  const at::NoGradGuard no_grad;
  auto& parameters = decoder_->parameters();
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    parameters.slice_of(parameters.flat(), i).copy_(golden("params/" + parameters.name(i)));
  }
  for (auto& average : decoder_->running_averages()) {
    average.mean.copy_(golden("buffers/before/" + average.name + ".running_mean"));
    average.variance.copy_(golden("buffers/before/" + average.name + ".running_var"));
  }
}

double Case::tolerance(const std::string& quantity) const {
  const bool gradient = quantity.starts_with("grad");
  if (dtype_ == torch::kFloat64) return gradient ? 1e-9 : 1e-10;
  const auto measured = file_.number("float32_error_" + (gradient ? "grads" : quantity),
                                     file_.number("float32_error_latent", 0));
  return std::max(gradient ? 1e-4 : 1e-5, 10 * measured);
}

void Case::compare(Checks& checks, const std::string& quantity, const torch::Tensor& actual,
                   const torch::Tensor& expected, const torch::Tensor& whole) const {
  TORCH_CHECK(actual.sizes() == expected.sizes(), quantity, " has shape ", actual.sizes(), ", not ",
              expected.sizes());
  double error = 0;
  if (actual.numel() > 0) {
    error = (actual.to(torch::kFloat64) - expected.to(torch::kFloat64)).abs().max().item<double>() /
            whole.abs().max().item<double>();
  }
  auto& check = checks[quantity];
  check.tolerance = tolerance(quantity);
  raise(check.error, worst_over_ranks(std::isfinite(error) ? error : INFINITY));  // of all ranks
}

void Case::compare_gradients(Checks& checks, const std::string& group) const {
  auto& parameters = decoder_->parameters();
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    const auto& name = parameters.name(i);
    if (zero_gradient(name)) {
      auto& check = checks["zero_gradients"];
      check.absolute = true;
      check.tolerance = 1e-10;
      raise(check.error, parameters.gradient(i).abs().max().item<double>());
    } else {
      const auto whole = golden(group + "/" + name);
      compare(checks, group, parameters.gradient(i), whole, whole);
    }
  }
}

void Case::compare_after_adam(Checks& checks) {
  OptimizerSection optimizer;
  optimizer.learning_rate = file_.number("adam_lr");
  optimizer.beta1 = file_.number("adam_beta1");
  optimizer.beta2 = file_.number("adam_beta2");
  optimizer.epsilon = file_.number("adam_eps");
  auto& parameters = decoder_->parameters();
  FlatAdam adam(optimizer, parameters.flat().numel(), parameters.flat().options());
  adam.step(parameters.flat(), parameters.flat_gradient(), optimizer.learning_rate,
            torch::zeros({}, torch::kFloat32));
  auto& check = checks["params_after_one_adam_step"];
  check.absolute = true;
  check.tolerance = dtype_ == torch::kFloat64 ? 1e-9 : 2 * optimizer.learning_rate;
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    const auto& name = parameters.name(i);
    if (zero_gradient(name)) continue;
    const auto expected = golden("params_after_one_adam_step/" + name);
    const auto error = (parameters[i].detach().to(torch::kFloat64) - expected).abs();
    raise(check.error, error.max().item<double>());
    if (dtype_ == torch::kFloat64) continue;
    // Single precision: entries whose gradient is not tiny must agree far better.
    const auto gradient = golden("grads/" + name).abs();
    const auto firm = gradient >= 1e-4 * gradient.max();
    auto& firm_check = checks["params_after_one_adam_step (firm gradients)"];
    firm_check.absolute = true;
    firm_check.tolerance = 5e-3 * optimizer.learning_rate;
    raise(firm_check.error, error.masked_select(firm).max().item<double>());
  }
}

void Case::compare_buffers(Checks& checks, const std::vector<PassStatistics>& passes) {
  if (file_.text("bn_mode") != "train") return;
  for (const auto& pass : passes) decoder_->update_running_averages(pass);
  for (const auto& average : decoder_->running_averages()) {
    const auto mean = golden("buffers/after/" + average.name + ".running_mean");
    const auto variance = golden("buffers/after/" + average.name + ".running_var");
    compare(checks, "buffers", average.mean, mean, mean);
    compare(checks, "buffers", average.variance, variance, variance);
  }
}

/// The pixels that a pass uses: the image's grid, the source's, or a listed subset of it.
Coordinates coordinates_of(const GoldenFile& file, const std::string& images,
                           const std::string& index, torch::ScalarType dtype) {
  const auto shape = file.tensor(images).sizes();
  const auto grid = full_grid(shape[2], shape[3], torch::TensorOptions().dtype(dtype));
  return file.has(index) ? subset_of(grid, file.tensor(index)) : grid;
}

Checks Case::run(bool latent_constant, LatentPath path) {
  Checks checks;
  const std::string source =
      file_.has("input/source_images") ? "input/source_images" : "input/images";
  const auto inner = coordinates_of(file_, source, "input/index_inner", dtype_);
  const auto outer = coordinates_of(file_, "input/images", "input/index_outer", dtype_);
  const bool implicit = file_.text("family") == "implicit";
  std::vector<PassStatistics> passes;
  Pass inner_pass{.normalisation = file_.text("bn_mode") == "eval" ? Normalisation::kRunning
                                                                   : Normalisation::kBatch,
                  .coordinates = implicit ? &inner : nullptr,
                  .record = &passes};
  Pass outer_pass = inner_pass;
  outer_pass.coordinates = implicit ? &outer : nullptr;

  auto latent = latent_config();
  latent.path = path;
  EncoderInput input{.images = mine(source),
                     .mean_image = golden(source).mean(0, /*keepdim=*/true).to(dtype_),
                     .global_images = batch_,
                     .origin = {}};
  if (file_.number("z0_sigma", 0) > 0) input.origin = mine("z0");
  const LatentEncoder encoder(latent, file_.number("step_size"));
  auto encoding = encoder.encode(*decoder_, input, LatentEncoder::Graph::kKeep, inner_pass);
  auto z = encoding.latents;
  if (latent_constant || latent.detach) z = z.detach().requires_grad_(true);
  if (z.requires_grad()) z.retain_grad();

  const auto images = mine("input/images");
  const auto reconstruction = decoder_->decode(z, outer_pass);
  const auto loss =
      squared_error_per_image(reconstruction, implicit ? values_at(images, outer) : images);  // [B]
  const double scale = file_.number("outer_scale");
  decoder_->parameters().zero_gradient();
  (loss.sum() * scale).backward();
  communicator_.all_reduce_sum(decoder_->parameters().flat_gradient());
  if (latent_constant) {
    compare_gradients(checks, "grads_latent_constant");
    return checks;
  }

  const auto rows = [&](const std::string& name, const torch::Tensor& actual) {
    if (file_.has(name)) compare(checks, name, actual, cut(golden(name)), golden(name));
  };
  rows("latent", z.detach());
  rows("inner_loss_per_sample", encoding.inner_loss);
  rows("outer_loss_per_sample", loss.detach());
  rows("reconstruction",
       outer.index.defined() ? reconstruction.detach().transpose(1, 2) : reconstruction.detach());
  rows("grad_outer_wrt_latent", z.grad());  // not stored for detached cases
  auto total = (loss.detach().sum() * scale).to(torch::kFloat64).view({1});
  communicator_.all_reduce_sum(total);
  compare(checks, "outer_loss", total[0], golden("outer_loss"), golden("outer_loss"));
  compare_gradients(checks, "grads");
  compare_buffers(checks, passes);
  compare_after_adam(checks);
  return checks;
}

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

Slice uneven_slice(std::int64_t images, int rank, int world) {
  std::int64_t end = images;
  for (int r = world - 1; r > rank; --r) end -= end / 2 + end % 2;
  const std::int64_t count = rank == 0 ? end : end / 2 + end % 2;
  return {.first = end - count, .count = count};
}

Checks check_case(const GoldenFile& file, torch::ScalarType dtype, Communicator& communicator) {
  Checks checks;
  for (const auto path : {LatentPath::kSharedOrigin, LatentPath::kDoubleBackward}) {
    for (const bool latent_constant : {false, true}) {
      if (latent_constant && file.names_in("grads_latent_constant").empty()) continue;
      for (const auto& [name, check] : Case(file, dtype, communicator).run(latent_constant, path)) {
        auto& worst = checks.try_emplace(name, check).first->second;
        raise(worst.error, check.error);
      }
    }
  }
  return checks;
}

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
    const at::NoGradGuard no_grad;
    const GoldenFile implicit(folder + "/implicit_mnist_h32_k8.h5");
    Case model(implicit, torch::kFloat64, alone);
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
    Case model(conv, torch::kFloat64, alone);
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
