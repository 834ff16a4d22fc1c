#include "tests/golden/case_check.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <sstream>

#include "trainer/decoders/conv_decoder.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/latent/latent_gaussian.hpp"
#include "trainer/model.hpp"
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

/// A golden file's model with its weights, on one rank's slice of its batch.
class Case {
 public:
  /// @param latent_constant the gradient without the path through the latents.
  Case(const GoldenFile& file, torch::ScalarType dtype, Communicator& communicator,
       bool latent_constant = false, LatentPath path = LatentPath::kAuto)
      : file_(file), dtype_(dtype), communicator_(communicator), family_(family_of(file)) {
    batch_ = file.tensor("input/images").size(0);
    slice_ = uneven_slice(batch_, communicator.rank(), communicator.size());
    make_model(latent_constant, path);
    load_weights();
  }

  Checks run(bool latent_constant);

  /// The file's tensor, whole, in float64.
  torch::Tensor golden(const std::string& name) const { return file_.tensor(name); }
  /// This rank's rows of one of the file's tensors, in the dtype of the run.
  torch::Tensor mine(const std::string& name) const { return cut(golden(name)).to(dtype_); }
  Decoder& decoder() { return *model_.decoder; }
  LatentSection latent_config() const;

 private:
  torch::Tensor cut(const torch::Tensor& whole) const {
    return whole.narrow(0, slice_.first, slice_.count);
  }
  void make_model(bool latent_constant, LatentPath path);
  [[nodiscard]] torch::Tensor parameter(const std::string& name) const;
  [[nodiscard]] ObjectiveBatch make_batch() const;
  void compare_heads(Checks& checks, const torch::Tensor& z, const Pass& pass);
  void compare_latent_table(Checks& checks);
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
  Family family_;
  Model model_;
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

void Case::make_model(bool latent_constant, LatentPath path) {
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

torch::Tensor Case::parameter(const std::string& name) const {
  auto& parameters = model_.parameters();
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    if (parameters.name(i) == name) return parameters[i].detach();
  }
  TORCH_CHECK(false, "the model has no parameter ", name);
}

void Case::load_weights() {
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
    const auto largest = whole.abs().max().item<double>();
    error = (actual.to(torch::kFloat64) - expected.to(torch::kFloat64)).abs().max().item<double>();
    if (largest > 0) error /= largest;  // a detached classifier's decoder has gradients of 0
  }
  auto& check = checks[quantity];
  check.tolerance = tolerance(quantity);
  raise(check.error, worst_over_ranks(std::isfinite(error) ? error : INFINITY));  // of all ranks
}

void Case::compare_gradients(Checks& checks, const std::string& group) const {
  auto& parameters = model_.parameters();
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
  auto& parameters = model_.parameters();
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
  for (const auto& pass : passes) model_.parameters().update_running_averages(pass);
  for (const auto& average : model_.parameters().running_averages()) {
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

ObjectiveBatch Case::make_batch() const {
  const std::string source =
      file_.has("input/source_images") ? "input/source_images" : "input/images";
  ObjectiveBatch batch;
  batch.images = mine(source);
  if (source != "input/images") batch.targets = mine("input/images");
  if (file_.has("input/labels")) batch.labels = cut(golden("input/labels"));
  batch.mean_image = golden(source).mean(0, /*keepdim=*/true).to(dtype_);
  batch.global_images = batch_;
  batch.first = slice_.first;
  for (std::int64_t id = 0; id < batch_; ++id) batch.global_ids.push_back(id);
  const bool noisy = file_.has("input/epsilon_outer") || file_.number("z0_sigma", 0) > 0;
  if (noisy) {
    batch.noise = [this](std::string_view purpose) {
      if (purpose == "origin") return mine("z0") / file_.number("z0_sigma");
      return mine("input/epsilon_" + std::string(purpose));
    };
  }
  return batch;
}

/// What heads and the decoder make of the latents: class scores, means and variances, images.
void Case::compare_heads(Checks& checks, const torch::Tensor& z, const Pass& pass) {
  const at::NoGradGuard no_grad;
  const auto rows = [&](const std::string& name, const torch::Tensor& actual) {
    if (file_.has(name)) compare(checks, name, actual, cut(golden(name)), golden(name));
  };
  const auto head = [&](const std::string& name) {
    return at::linear(z, parameter(name + ".weight"), parameter(name + ".bias"));
  };
  if (file_.has("logits")) rows("logits", head("head"));
  auto decoded = z;
  if (file_.has("mu")) {
    const auto mean = head("mu");
    const auto log_variance = head("logvar");
    rows("mu", mean);
    rows("logvar", log_variance);
    decoded = file_.has("input/epsilon_outer")
                  ? mean + (log_variance / 2).exp() * mine("input/epsilon_outer")
                  : mean;
  }
  if (!file_.has("reconstruction")) return;
  const auto image = model_.decoder->decode(decoded, pass);
  const bool subset = pass.coordinates != nullptr && pass.coordinates->index.defined();
  rows("reconstruction", subset ? image.transpose(1, 2) : image);
}

/// glo: the latents themselves after one step of Adam on them.
void Case::compare_latent_table(Checks& checks) {
  if (family_ != Family::kGlo) return;
  model_.objective->update(torch::zeros({}, torch::kFloat32));
  const auto state = model_.objective->gather_state();
  double error = 0;
  if (communicator_.rank() == 0) {
    // The first step of Adam is the learning rate times g / (|g| + eps).
    const auto gradient = golden("grad_latent");
    const auto expected = golden("z0") - file_.number("latent_lr_adam") * gradient /
                                             (gradient.abs() + file_.number("adam_eps"));
    error = (state.at("rows").to(torch::kFloat64) - expected).abs().max().item<double>();
  }
  auto& check = checks["latents after one step"];
  check.absolute = true;
  check.tolerance = dtype_ == torch::kFloat64 ? 1e-9 : 2 * file_.number("latent_lr_adam");
  raise(check.error, worst_over_ranks(error));
}

Checks Case::run(bool latent_constant) {
  Checks checks;
  const std::string source =
      file_.has("input/source_images") ? "input/source_images" : "input/images";
  const auto inner = coordinates_of(file_, source, "input/index_inner", dtype_);
  const auto outer = coordinates_of(file_, "input/images", "input/index_outer", dtype_);
  const bool implicit = file_.text("family") == "implicit";
  std::vector<PassStatistics> statistics;
  Passes passes;
  passes.inner = {.normalisation = file_.text("bn_mode") == "eval" ? Normalisation::kRunning
                                                                   : Normalisation::kBatch,
                  .coordinates = implicit ? &inner : nullptr,
                  .record = &statistics};
  passes.outer = passes.inner;
  passes.outer.coordinates = implicit ? &outer : nullptr;

  const auto batch = make_batch();
  if (family_ == Family::kGlo) {
    const auto z0 = golden("z0");
    model_.objective->restore_state([&](const std::string& name) {
      if (name == "rows") return z0;
      return name == "updates" ? torch::zeros({batch_}, torch::kFloat64) : torch::zeros_like(z0);
    });
  }
  auto losses = model_.objective->losses(batch, passes, /*timer=*/nullptr);
  const auto& z = losses.latents;
  if (z.requires_grad()) z.retain_grad();

  // The published scale is the objective's own; some files of the plain method state another.
  const bool stated = family_ == Family::kGon;
  const double scale = stated ? file_.number("outer_scale") : model_.objective->scale();
  if (!stated && file_.number("outer_scale", 0) > 0) {
    TORCH_CHECK(std::abs(scale / file_.number("outer_scale") - 1) < 1e-12, "the outer scale is ",
                scale, ", not ", file_.number("outer_scale"));
  }
  model_.parameters().zero_gradient();
  (losses.outer.sum() * scale).backward();
  communicator_.all_reduce_sum(model_.parameters().flat_gradient());
  if (latent_constant) {
    compare_gradients(checks, "grads_latent_constant");
    return checks;
  }

  const auto rows = [&](const std::string& name, const torch::Tensor& actual) {
    if (file_.has(name)) compare(checks, name, actual, cut(golden(name)), golden(name));
  };
  rows("latent", z.detach());
  if (losses.inner.defined()) rows("inner_loss_per_sample", losses.inner);
  if (family_ != Family::kClassifier) rows("outer_loss_per_sample", losses.loss);
  rows("cross_entropy_per_sample",
       family_ == Family::kJoint ? losses.parts["cross_entropy"] : losses.loss);
  rows("bce_per_sample", losses.parts["cross_entropy"]);
  rows("kl_per_sample", losses.parts["divergence"]);
  if (z.grad().defined()) {  // not for detached cases
    // What was minimised was not scaled yet where the leaf is the latent itself.
    rows("grad_outer_wrt_latent", z.grad());
  }
  auto total = (losses.outer.detach().sum() * scale).to(torch::kFloat64).view({1});
  communicator_.all_reduce_sum(total);
  compare(checks, "outer_loss", total[0], golden("outer_loss"), golden("outer_loss"));
  compare_gradients(checks, "grads");
  auto silent = passes.outer;
  silent.record = nullptr;
  compare_heads(checks, z.detach(), silent);
  compare_buffers(checks, statistics);
  if (family_ == Family::kGlo) {  // TrainStep hands out unscaled gradients
    if (z.grad().defined()) z.mutable_grad() = z.grad() / scale;
    compare_latent_table(checks);
  }
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
  const bool has_paths = family_of(file) != Family::kVgon;
  for (const auto path : {LatentPath::kSharedOrigin, LatentPath::kDoubleBackward}) {
    if (!has_paths && path == LatentPath::kSharedOrigin) continue;
    for (const bool latent_constant : {false, true}) {
      if (latent_constant && file.names_in("grads_latent_constant").empty()) continue;
      for (const auto& [name, check] :
           Case(file, dtype, communicator, latent_constant, path).run(latent_constant)) {
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
