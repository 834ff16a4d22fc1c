#include "tests/golden/case_check.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "tests/golden/golden_model.hpp"
#include "trainer/optimizer/flat_adam.hpp"

namespace gondola::golden {
namespace {

class Case final : public GoldenModel {
 public:
  using GoldenModel::GoldenModel;

  Checks run(bool latent_constant);

 private:
  [[nodiscard]] ObjectiveBatch make_batch() const;
  void compare_heads(Checks& checks, const torch::Tensor& z, const Pass& pass);
  void compare_latent_table(Checks& checks);
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
};

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
  adam.step(parameters.flat(), parameters.flat_gradient(),
            at::scalar_tensor(optimizer.learning_rate, torch::kFloat64),
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
    model_.objective->restore_state([&](const std::string& name, at::IntArrayRef) {
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

}  // namespace

void raise(double& worst, double error) {
  worst = std::max(worst, std::isfinite(error) ? error : INFINITY);
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

}  // namespace gondola::golden
