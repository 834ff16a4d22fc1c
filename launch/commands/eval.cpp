#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "configs/option_table.hpp"
#include "data/images/png.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/encoded_images.hpp"
#include "launch/model_options.hpp"
#include "launch/mpi_session.hpp"
#include "launch/rank_zero.hpp"
#include "launch/start_up_check.hpp"
#include "launch/trained_model.hpp"
#include "launch/watchdog.hpp"
#include "monitoring/histogram_plot.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/checkpoint/checkpoint_saver.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/latent/latent_gaussian.hpp"
#include "trainer/parallel/mpi_communicator.hpp"
#include "trainer/parallel/replica_check.hpp"

namespace gondola {

namespace {

/// What a metric is, for people.
std::string unit_of(const std::string& metric, const Objective& objective) {
  if (metric == "loss") return objective.loss_in_words();
  if (metric == "psnr") return "dB";
  if (metric == "ssim") return "structural similarity, at most 1";
  if (metric == "accuracy") return "of the images, the right class";
  if (metric == "cross_entropy") return "nats per image";
  if (metric == "divergence") return "KL(q || N(0, I)), nats per image";
  if (metric == "bits_per_dimension") {
    return "(Bernoulli cross entropy + KL) / (C H W ln 2), one draw per image";
  }
  if (metric == "reconstruction_loss") return "squared error per image";
  return "mean over the images";
}

Split other_split(Split split) { return split == Split::kTest ? Split::kTrain : Split::kTest; }

/// Collective. Ranks whose sums are added up must have the same task, model and images.
void compare_what_is_evaluated(std::span<const std::string> args, TrainedModel& model,
                               const ImageSource& source, Communicator& control) {
  std::string order;
  for (const auto& word : args) order += word + '\n';
  const std::vector<torch::Tensor> weights = {model.decoder().parameters().flat(),
                                              model.mean_image()};
  const std::vector<NamedHash> things = {{.name = "program", .hash = hash_of_this_program()},
                                         {.name = "command line", .hash = hash_of_text(order)},
                                         {.name = "checkpoint", .hash = hash_of(weights)},
                                         {.name = "dataset", .hash = source.fingerprint()}};
  compare_over_ranks(control, things);
}

/// Collective. As many images of the split that was not asked for.
EvalReport evaluate_other_split(TrainedModel& model, const ModelOptions& options,
                                Communicator& control, CollectiveProgress& progress) {
  const auto split = other_split(options.split);
  const auto source = model.open_images(options.data, split);
  const auto targets = model.open_targets(*source, split);
  return evaluate(model.config(), model.reconstructor(),
                  {.source = *source, .targets = targets.get()}, model.options(), options.images,
                  control, progress);
}

/// @param latents [N, k(, s, s)]. Values that do not vary are left at 0.
void draw_spread(const torch::Tensor& latents, const LatentMoments& moments,
                 const std::string& path) {
  const auto stddev = torch::where(moments.stddev > 0, moments.stddev, 1.0);
  const auto spread = (latents.flatten(1).to(torch::kFloat64) - moments.mean) / stddev;
  const auto picture = draw_histogram(host_values(spread));
  write_png(path, picture.width, picture.height, picture.channels, picture.pixels);
}

std::vector<double> list_of(const torch::Tensor& values) {
  const auto host = values.to(torch::kFloat64).contiguous();
  return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
}

}  // namespace

int run_eval(std::span<const std::string> args, MpiSession& mpi) {
  auto table = model_option_table(/*default_images=*/0);
  table.add_options()("json", "print one JSON object instead of a table")                       //
      ("gap", "measure the other split too, and what it differs by")                            //
      ("latents", "moments of the latents, which a normal distribution would have as 0 and 0")  //
      ("histogram", boost::program_options::value<std::string>(),
       "PNG to write as well: how the latents' values spread, each less its mean and over its "
       "standard "
       "deviation, from -4 to 4, and the normal distribution as a line");
  const auto values = parse_model_command("eval", args, table);
  if (!values) return static_cast<int>(ExitCode::kDone);
  const auto options = model_options(*values);
  const bool latents_too = values->count("latents") > 0 || values->count("histogram") > 0;
  if (latents_too) require_one_rank("eval --latents", mpi.size());
  const auto histogram =
      values->count("histogram") > 0 ? (*values)["histogram"].as<std::string>() : "";
  if (!histogram.empty() && std::filesystem::exists(histogram)) {
    throw ConfigError("'" + histogram + "' exists already; name another --histogram");
  }

  const auto binding = bind_device({}, mpi);
  CollectiveProgress progress;
  const Watchdog watchdog(progress, {.rank = mpi.rank(), .size = mpi.size()});
  MpiCommunicator control(mpi.world(), progress);
  progress.allow_extra_seconds(kRankZeroSeconds);  // to read a checkpoint whole
  // `best` of a run that goes on may move meanwhile.
  const auto checkpoint =
      decide_on_rank_zero(control, [&] { return checkpoint_named(options.run).string(); });
  TrainedModel model(checkpoint, binding.device, options.statistics, options.group_images);
  const auto source = model.open_images(options.data, options.split);
  const auto targets = model.open_targets(*source, options.split);
  compare_what_is_evaluated(args, model, *source, control);
  progress.allow_extra_seconds(0);
  const auto report =
      evaluate(model.config(), model.reconstructor(), {.source = *source, .targets = targets.get()},
               model.options(), options.images, control, progress);
  std::optional<EvalReport> other;
  if (values->count("gap") > 0) other = evaluate_other_split(model, options, control, progress);
  std::optional<LatentMoments> moments;
  if (latents_too) {
    const auto latents = encode_images(model, *source, options.images);
    moments = moments_of(latents);
    if (!histogram.empty()) draw_spread(latents, *moments, histogram);
  }
  const auto& flat = model.decoder().parameters().flat();
  if (mpi.rank() != 0) return static_cast<int>(ExitCode::kDone);

  if (values->count("json") > 0) {
    nlohmann::ordered_json json = {{"checkpoint", model.checkpoint().string()},
                                   {"split", split_name(options.split)},
                                   {"family", value_of(model.config(), "model.family")},
                                   {"parameters", flat.numel()},
                                   {"images", report.images},
                                   {"loss_is", model.objective().loss_in_words()},
                                   {"encoding", report.encoding}};
    for (const auto& [name, value] : report.metrics) json[name] = value;
    if (other) {
      for (const auto& [name, value] : other->metrics) {
        json["gap"][name] = report.metrics.at(name) - value;
      }
    }
    if (moments) {
      json["latents"] = {{"mean", list_of(moments->mean)},
                         {"stddev", list_of(moments->stddev)},
                         {"skewness", list_of(moments->skewness)},
                         {"kurtosis", list_of(moments->kurtosis)}};
    }
    std::printf("%s\n", json.dump().c_str());
    return static_cast<int>(ExitCode::kDone);
  }
  std::printf("checkpoint   %s\n", model.checkpoint().c_str());
  std::printf("images       %lld of %s\n", static_cast<long long>(report.images),
              source->name().c_str());
  std::printf("encoding     %s\n", report.encoding.c_str());
  std::printf("model        %s, %lld parameters\n",
              value_of(model.config(), "model.family").c_str(),
              static_cast<long long>(flat.numel()));
  for (const auto& [name, value] : report.metrics) {
    std::printf("%-20s %-10.5g %s\n", name.c_str(), value,
                unit_of(name, model.objective()).c_str());
  }
  if (other) {
    for (const auto& [name, value] : other->metrics) {
      std::printf("gap %-16s %+-10.5g %s less %s\n", name.c_str(), report.metrics.at(name) - value,
                  split_name(options.split), split_name(other_split(options.split)));
    }
  }
  if (moments) {
    const auto row = [](const char* name, const torch::Tensor& each, const char* meaning) {
      std::printf("latent %-13s mean of |.| %.4g, largest %.4g  %s\n", name,
                  each.abs().mean().item<double>(), each.abs().max().item<double>(), meaning);
    };
    row("mean", moments->mean, "");
    row("stddev", moments->stddev, "");
    row("skewness", moments->skewness, "0 for a normal distribution");
    row("kurtosis", moments->kurtosis, "excess; 0 for a normal distribution");
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
