#include "configs/validate_config.hpp"

#include <string_view>
#include <utility>

#include "configs/errors.hpp"
#include "configs/option_table.hpp"
#include "configs/siren_tile.hpp"
#include "configs/strata.hpp"

namespace gondola {
namespace {

std::string shown(const RunConfig& config, std::string_view name) {
  return std::string(name) + " = " + value_of(config, name);
}

bool uses_batch_norm(const RunConfig& config) {
  return config.model.decoder == DecoderKind::kConv &&
         config.model.batch_norm != BatchNormMode::kNone;
}

void add_length_problems(const RunConfig& config, std::vector<std::string>& problems) {
  const auto& trainer = config.trainer;
  if (trainer.steps == 0 && trainer.epochs == 0) {
    problems.push_back(
        "neither trainer.steps nor trainer.epochs says how long to train: set one of them");
  }
  if (trainer.steps > 0 && trainer.epochs > 0) {
    problems.push_back(shown(config, "trainer.steps") + " and " + shown(config, "trainer.epochs") +
                       " contradict each other: set one of them, leave the other at 0");
  }
  const auto& optimizer = config.optimizer;
  const bool cosine = optimizer.schedule == Schedule::kCosine;
  if (cosine && trainer.steps > 0 && optimizer.warmup_steps >= trainer.steps) {
    problems.push_back(shown(config, "optimizer.warmup_steps") + " leaves none of the " +
                       std::to_string(trainer.steps) +
                       " steps for the cosine: warm up for fewer steps, or train longer");
  }
  if (!cosine && optimizer.final_fraction > 0) {
    problems.push_back(shown(config, "optimizer.final_fraction") +
                       " has no effect on a constant learning rate: set optimizer.schedule = "
                       "cosine, or leave it at 0");
  }
}

void add_batch_problems(const RunConfig& config, std::vector<std::string>& problems) {
  const auto& trainer = config.trainer;
  if (trainer.accumulate > 1 && uses_batch_norm(config)) {
    problems.push_back(
        shown(config, "trainer.accumulate") + " does not go with " +
        shown(config, "model.batch_norm") +
        " (its statistics would be those of a part of the batch): set model.batch_norm = none, "
        "or trainer.accumulate = 1");
  }
  if (trainer.batch_size > 0 && trainer.accumulate > trainer.batch_size) {
    problems.push_back(shown(config, "trainer.accumulate") +
                       " asks for more passes than the batch has images (" +
                       shown(config, "trainer.batch_size") + "): take fewer passes");
  }
  if (config.data.cache == CacheKind::kDevice && config.parallel.device == DeviceKind::kCpu) {
    problems.push_back(
        "data.cache = device does not go with parallel.device = cpu: keep the images with "
        "data.cache = host");
  }
}

void add_divergence_problems(const RunConfig& config, std::vector<std::string>& problems) {
  const auto& trainer = config.trainer;
  if (trainer.outlier_factor > 0 && trainer.outlier_factor <= 1) {
    problems.push_back(shown(config, "trainer.outlier_factor") +
                       " leaves out ordinary steps: give a multiple of the usual norm such as 10, "
                       "or 0 for no bound");
  }
  if (trainer.on_nonfinite == OnNonfinite::kRollback && config.checkpoint.every_steps == 0) {
    problems.push_back(shown(config, "trainer.on_nonfinite") + " has nothing to go back to with " +
                       shown(config, "checkpoint.every_steps") +
                       ": write checkpoints during training, or skip such steps");
  }
}

void add_graph_problems(const RunConfig& config, std::vector<std::string>& problems) {
  if (!config.trainer.cuda_graph) return;
  const auto refuse = [&](const char* name, const std::string& reason) {
    problems.push_back("trainer.cuda_graph = true does not go with " + shown(config, name) + ", " +
                       reason + ": set trainer.cuda_graph = false");
  };
  if (config.parallel.device == DeviceKind::kCpu) {
    refuse("parallel.device", "which has no graphs");
  }
  if (config.model.family == Family::kGlo) {
    refuse("model.family", "whose ranks exchange latents in each step");
  }
  if (config.parallel.coordinate_ranks > 1) {
    refuse("parallel.coordinate_ranks", "which meet in the middle of a step");
  }
  if (config.trainer.precision == Precision::kFloat64) {
    refuse("trainer.precision", "since the learning rate of a graph has single precision");
  }
}

void add_latent_problems(const RunConfig& config, std::vector<std::string>& problems) {
  const auto& latent = config.latent;
  const auto side = latent.spatial;
  if (side == 3 || (side > 4 && side < 8)) {
    problems.push_back(shown(config, "latent.spatial") +
                       " is not a latent map that a decoder can "
                       "read: give 1, 2, 4 or 8");
  }
  if (side > 1 && config.model.decoder == DecoderKind::kSiren) {
    problems.push_back(shown(config, "latent.spatial") +
                       " does not go with model.decoder = siren, whose latents have no map: set "
                       "latent.spatial = 1, or model.decoder = conv");
  }
  const bool from_zero = latent.steps == 1 && latent.origin_stddev == 0;
  const bool conv = config.model.decoder == DecoderKind::kConv;
  if (latent.path == LatentPath::kSharedOrigin && !from_zero) {
    problems.push_back(
        "latent.path = shared_origin is exact for one step from z = 0 only, not for " +
        shown(config, latent.steps > 1 ? "latent.steps" : "latent.origin_stddev") +
        ": set latent.path = auto");
  }
  if (latent.path == LatentPath::kSharedOrigin && conv && !uses_batch_norm(config)) {
    problems.push_back(
        "latent.path = shared_origin is there for model.decoder = siren and for batch norm, not "
        "for "
        "model.batch_norm = none: set latent.path = auto");
  }
  if (latent.path == LatentPath::kDoubleBackward && uses_batch_norm(config) &&
      latent.origin_stddev == 0 && config.model.family != Family::kVgon) {
    problems.push_back(
        "latent.path = double_backward does not go with " + shown(config, "model.batch_norm") +
        ", whose images share the pass through z = 0 on every number of ranks: set latent.path = "
        "auto");
  }
  if (latent.steps > 1 && latent.update == LatentUpdate::kGradient) {
    problems.push_back("latent.update = gradient forgets every step but the last of " +
                       shown(config, "latent.steps") +
                       ": set latent.update = descent (or auto), or latent.steps = 1");
  }
}

void add_coordinate_problems(const RunConfig& config, std::vector<std::string>& problems) {
  const auto refuse = [&](const CoordinateSet& set, const char* name, Family without,
                          const std::string& reason) {
    if (set.sampler == CoordinateSampler::kFull) return;
    if (config.model.decoder != DecoderKind::kSiren) {
      problems.push_back(shown(config, name) +
                         " is for model.decoder = siren; a convolutional decoder makes whole "
                         "images: set it to full");
    } else if (config.model.family == without) {
      problems.push_back(shown(config, name) + " has no effect with " +
                         shown(config, "model.family") + ", " + reason + ": set it to full");
    }
  };
  refuse(config.coordinates.inner, "coordinates.inner", Family::kGlo, "which has no inner pass");
  refuse(config.coordinates.outer, "coordinates.outer", Family::kClassifier,
         "which decodes nothing");
}

void add_coordinate_rank_problems(const RunConfig& config, std::vector<std::string>& problems) {
  if (config.parallel.coordinate_ranks == 1) return;
  const auto named = shown(config, "parallel.coordinate_ranks");
  if (config.model.decoder != DecoderKind::kSiren) {
    problems.push_back(named +
                       " is for model.decoder = siren; a convolutional decoder makes whole images: "
                       "set it to 1");
  } else if (config.model.family != Family::kGon && config.model.family != Family::kTranslation) {
    problems.push_back(named + " does not go with " + shown(config, "model.family") +
                       ", whose loss is not a sum over coordinates alone: set it to 1");
  }
}

bool has_encoder_network(Family family) {
  return family == Family::kAutoencoder || family == Family::kTiedAutoencoder ||
         family == Family::kVae;
}

void add_family_problems(const RunConfig& config, std::vector<std::string>& problems) {
  const auto& model = config.model;
  const auto& latent = config.latent;
  const auto family = model.family;
  const auto named = shown(config, "model.family");
  const bool variational = family == Family::kVgon || family == Family::kVae;
  const bool without_inner_pass = has_encoder_network(family) || family == Family::kGlo;
  if (has_encoder_network(family) && model.decoder == DecoderKind::kSiren) {
    problems.push_back(named +
                       " has an encoder that mirrors a convolutional decoder: set model.decoder = "
                       "conv, or model.family = gon");
  }
  if (variational && latent.spatial > 1) {
    problems.push_back(named + " does not go with " + shown(config, "latent.spatial") +
                       ", since its mean and variance are vectors: set latent.spatial = 1");
  }
  if (family == Family::kVgon && latent.steps > 1) {
    problems.push_back(named + " takes one step from the origin, not " +
                       shown(config, "latent.steps") + ": set latent.steps = 1");
  }
  if ((family == Family::kVgon || without_inner_pass) && latent.origin_stddev > 0) {
    problems.push_back(named + " does not go with " + shown(config, "latent.origin_stddev") +
                       ": set latent.origin_stddev = 0, or model.family = gon");
  }
  if (without_inner_pass && (latent.steps > 1 || latent.detach)) {
    problems.push_back(named + " has no inner pass for " +
                       shown(config, latent.detach ? "latent.detach" : "latent.steps") +
                       ": leave it out, or set model.family = gon");
  }
  if (family == Family::kVgon && latent.path == LatentPath::kSharedOrigin) {
    problems.push_back(
        "latent.path = shared_origin is not exact for " + named +
        ", whose images have noise of their own at the origin: set latent.path = auto");
  }
  if ((family == Family::kClassifier || family == Family::kJoint) && model.classes == 1) {
    problems.push_back(shown(config, "model.classes") +
                       " leaves nothing to tell apart: give 2 or more, or auto");
  }
  if (family == Family::kGlo && config.trainer.accumulate > 1) {
    problems.push_back(named + " does not go with " + shown(config, "trainer.accumulate") +
                       ": set trainer.accumulate = 1");
  }
  if (family == Family::kTranslation && config.data.targets.empty()) {
    problems.push_back(named +
                       " needs the other modality: name a dataset with as many images in "
                       "data.targets");
  }
  if (family != Family::kTranslation && !config.data.targets.empty()) {
    problems.push_back(shown(config, "data.targets") + " has no effect with " + named +
                       ": set model.family = translation, or leave it out");
  }
}

}  // namespace

std::vector<std::string> contradictions_of(const RunConfig& config) {
  std::vector<std::string> problems;
  if (config.data.path.empty()) {
    problems.push_back(
        "data.path is not set: name a dataset file made by gondola import, or "
        "synthetic:IMAGESxCxHxW");
  }
  if (config.monitoring.bind.empty()) {
    problems.push_back("monitoring.bind is empty: give an address such as 127.0.0.1, or off");
  }
  add_length_problems(config, problems);
  add_batch_problems(config, problems);
  add_divergence_problems(config, problems);
  add_graph_problems(config, problems);
  if (auto problem = tile_problem(config); !problem.empty()) problems.push_back(std::move(problem));
  add_latent_problems(config, problems);
  add_coordinate_problems(config, problems);
  add_coordinate_rank_problems(config, problems);
  add_family_problems(config, problems);
  return problems;
}

void throw_config_error(const std::vector<std::string>& problems) {
  if (problems.size() == 1) throw ConfigError(problems.front());
  std::string message = "the configuration has " + std::to_string(problems.size()) + " problems:";
  for (const auto& problem : problems) message += "\n  " + problem;
  throw ConfigError(message);
}

void check_image_size(const RunConfig& config, std::int64_t channels, std::int64_t height,
                      std::int64_t width) {
  const std::string size =
      std::to_string(channels) + "x" + std::to_string(height) + "x" + std::to_string(width);
  if (channels < 1 || height < 1 || width < 1) {
    throw ConfigError("no decoder makes images of size " + size + " (" +
                      shown(config, "data.path") + "): every side must be at least 1");
  }
  for (const auto& [name, set] : {std::pair("coordinates.inner", config.coordinates.inner),
                                  std::pair("coordinates.outer", config.coordinates.outer)}) {
    const auto problem = coordinate_set_problem(set, height, width);
    if (!problem.empty()) {
      throw ConfigError(shown(config, name) + problem + " (" + shown(config, "data.path") + ")");
    }
  }
  if (config.model.decoder != DecoderKind::kConv) return;

  const bool known_side = height == 16 || height == 28 || height == 32 || height == 64 ||
                          height == 128 || height == 256;
  if (height != width || !known_side) {
    throw ConfigError(
        "model.decoder = conv makes square images of 16, 28, 32, 64, 128 or 256 "
        "pixels, not of size " +
        size + " (" + shown(config, "data.path") +
        "): import them with --size 32, or set model.decoder = siren");
  }
  if (height == 28 && config.latent.spatial == 8) {
    throw ConfigError("latent.spatial = 8 does not grow to 28 pixels (" +
                      shown(config, "data.path") +
                      "): set latent.spatial to 1, 2 or 4, or import the images with --size 32");
  }
}

void check_world(const RunConfig& config, std::int64_t world_size) {
  const auto ranks = std::to_string(world_size) + (world_size == 1 ? " rank" : " ranks");
  const auto expected = config.parallel.expect_world;
  if (expected > 0 && expected != world_size) {
    throw WorldError("the run has " + ranks + " but " + shown(config, "parallel.expect_world") +
                     ": start it with mpirun -n " + std::to_string(expected) +
                     " (under Slurm srun --mpi=pmix), or correct the option");
  }
  const auto sharers = config.parallel.coordinate_ranks;
  if (world_size % sharers != 0) {
    throw ConfigError(shown(config, "parallel.coordinate_ranks") + " does not divide the " + ranks +
                      " into groups of as many: start a multiple of it, or set it to a divisor");
  }
  if (config.trainer.batch_size < world_size / sharers) {
    throw ConfigError(shown(config, "trainer.batch_size") + " is smaller than the " + ranks +
                      (sharers > 1 ? " in groups of " + std::to_string(sharers) : "") +
                      ": start at most " + std::to_string(config.trainer.batch_size * sharers) +
                      ", or raise trainer.batch_size" +
                      (config.model.decoder == DecoderKind::kSiren
                           ? ", or have ranks share images with parallel.coordinate_ranks"
                           : ""));
  }
}

std::vector<std::string> resume_conflicts(const RunConfig& saved, const RunConfig& now) {
  std::vector<std::string> conflicts;
  for (const auto& option : option_table()) {
    if (option.on_resume == OnResume::kMayDiffer) continue;
    const auto before = option.get(saved), after = option.get(now);
    const bool is_kept = option.on_resume == OnResume::kKept && after == "auto";
    if (before == after || is_kept) continue;
    conflicts.push_back(option.name() + " is \"" + after +
                        "\", but the run that is resumed has \"" + before +
                        "\": give that value, or start a new run folder");
  }
  return conflicts;
}

}  // namespace gondola
