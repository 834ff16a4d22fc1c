#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/option_text.hpp"
#include "configs/validate_config.hpp"
#include "data/image_source.hpp"
#include "launch/benches/allreduce_bench.hpp"
#include "launch/benches/checkpoint_bench.hpp"
#include "launch/benches/coordinates_bench.hpp"
#include "launch/benches/encode_bench.hpp"
#include "launch/benches/loader_bench.hpp"
#include "launch/benches/memory_bench.hpp"
#include "launch/benches/scaling_model_bench.hpp"
#include "launch/benches/step_bench.hpp"
#include "launch/command_line.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/mpi_session.hpp"

namespace gondola {
namespace {

constexpr const char* kHelp =
    "What to measure:\n"
    "  step    one JSON object a line, for the siren (1x28x28) and the conv decoder (1x32x32), or "
    "for the one that\n"
    "          --model.decoder names, on noise of that size or of the size of --data.path's images "
    "(synthetic:64x1x64x64):\n"
    "          images/s, seconds by phase, sgemm rate, and ratio_to_double_backward: how many "
    "times\n"
    "          faster than plain libtorch modules with torch::optim::Adam, alternated in one "
    "process; the same in\n"
    "          processor seconds (ratio_of_cpu_seconds), and where both multiply matrices by ATen "
    "(ratio_same_matmul);\n"
    "          step_to_decoder_step: to a step whose latents are given; share_of_matmul_rate: of "
    "the "
    "rate of its matrix\n"
    "          products alone (siren)\n"
    "  encode  one JSON object a line, likewise: images/s at fixed weights by one matrix product, "
    "and ratio_to_gradient_encode:\n"
    "          how many times faster than a backward pass for each image; share_of_matmul_rate as "
    "above\n"
    "  coordinates\n"
    "          one JSON object a line for the siren decoder, on synthetic 1x128x128 or the first "
    "images of --data.path: the\n"
    "          error of the gradient of drawn coordinates against the full grid's, sampler by "
    "sampler at equal cost, then\n"
    "          the seconds of a step with 1024 of them on images of 64x64 to 1024x1024\n"
    "  memory  one JSON object a line for the siren decoder: the bytes that a step adds to the "
    "process, on 1x28x28 and, exact,\n"
    "          on 8 images of 128x128 and of 1024x1024\n"
    "  allreduce\n"
    "          one JSON object a line and size, under mpirun: the sum of a gradient over the "
    "ranks, its "
    "bytes a second on the\n"
    "          bus, and how many times faster than MPI_Allreduce of the same bytes "
    "(ratio_to_mpi_allreduce)\n"
    "  scaling-model\n"
    "          JSON objects, under mpirun, for the model of the options: latency and bandwidth of "
    "a "
    "message, fitted to sums\n"
    "          over the ranks; the step of these ranks as predicted from them and as measured; and "
    "the step and its efficiency\n"
    "          on 1 to 4096 ranks, for the model's work or --bench.step_flop a rank and step\n"
    "  loader  one JSON object a line and case (shuffle, cache, threads) for 60,000 images 1x28x28 "
    "and "
    "20,000 images 3x64x64\n"
    "          that it makes, or for the dataset of --data.path: images/s, bytes/s, and how many "
    "times faster than plain\n"
    "          pread (ratio_to_pread) and than the better of that and a mapped file "
    "(ratio_to_control)\n"
    "  checkpoint\n"
    "          one JSON object for a siren of 500 MB (--model.hidden 3712 and batches of 4 images "
    "1x8x8, unless they are given):\n"
    "          step times while a checkpoint is written beside training, and while training waits "
    "for it, to those without\n"
    "          one (ratio_of_medians, ratio_of_p95); written in TMPDIR\n"
    "Every option of train can be given, such as --trainer.batch_size, --latent.size, "
    "--bench.repeats, --bench.threads.\n";

void print_line(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// REQUIRES the option's name as the table has it.
bool is_given(std::span<const std::string> options, const std::string& name) {
  return std::ranges::any_of(options,
                             [&](const std::string& word) { return word.starts_with(name); });
}

using ModelBench = std::string (*)(const RunConfig&, const ImageShape&);

/// Of the images of --data.path, or of those that the published figures are for.
ImageShape bench_shape(const RunConfig& config, bool conv) {
  if (config.data.path.empty()) {
    const std::int64_t side = conv ? 32 : 28;
    return {.channels = 1, .height = side, .width = side};
  }
  return shape_of(*open_source(config.data.path, Split::kTrain, CacheKind::kNone));
}

/// Of both decoders, or of the one that is named.
void bench_models(const RunConfig& config, std::span<const std::string> options, ModelBench bench) {
  const bool one_decoder = is_given(options, "--model.decoder");
  for (const auto decoder : {DecoderKind::kSiren, DecoderKind::kConv}) {
    if (one_decoder && decoder != config.model.decoder) continue;
    auto measured = config;
    measured.model.decoder = decoder;
    const bool conv = decoder == DecoderKind::kConv;
    if (!one_decoder)
      measured.model.activation = conv ? ActivationKind::kElu : ActivationKind::kSin;
    print_line(bench(measured, bench_shape(config, conv)));
  }
}

}  // namespace

int run_bench(std::span<const std::string> args, MpiSession& mpi) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h") {
    std::fputs(command_help("bench", kHelp).c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  const auto& what = args[0];
  constexpr std::array kKnown = {"step",   "encode",    "coordinates",   "memory",
                                 "loader", "allreduce", "scaling-model", "checkpoint"};
  if (std::find(kKnown.begin(), kKnown.end(), what) == kKnown.end()) {
    throw ConfigError(
        "gondola bench measures step, encode, coordinates, memory, loader, allreduce, "
        "scaling-model or checkpoint, not '" +
        what + "'; see gondola bench --help");
  }
  if (mpi.size() != 1 && what != "allreduce" && what != "scaling-model") {
    throw WorldError("gondola bench " + what + " runs on one rank, and was started on " +
                     std::to_string(mpi.size()) + "; start it without mpirun");
  }
  const auto options = args.subspan(1);
  auto loaded = load_config(options, current_environment());
  if (loaded.help) {
    std::fputs(command_help("bench", kHelp + options_help()).c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  loaded.config.parallel.device = DeviceKind::kCpu;
  loaded.config.parallel.threads = loaded.config.bench.threads;
  (void)bind_device(loaded.config.parallel, mpi);
  if (what == "loader") {
    const bool one_shuffle = is_given(options, "--data.shuffle");
    bench_loader(loaded.config,
                 one_shuffle ? std::optional(loaded.config.data.shuffle) : std::nullopt,
                 print_line);
  } else if (what == "coordinates") {
    bench_coordinates(loaded.config, print_line);
  } else if (what == "allreduce") {
    bench_allreduce(loaded.config, mpi, print_line);
  } else if (what == "scaling-model") {
    const bool conv = loaded.config.model.decoder == DecoderKind::kConv;
    bench_scaling_model(loaded.config, bench_shape(loaded.config, conv), mpi, print_line);
  } else if (what == "memory") {
    bench_memory(loaded.config, print_line);
  } else if (what == "checkpoint") {
    auto& config = loaded.config;
    if (!is_given(options, "--model.hidden")) config.model.hidden = 3712;
    if (!is_given(options, "--trainer.batch_size")) config.trainer.batch_size = 4;
    print_line(bench_checkpoint(config));
  } else {
    bench_models(loaded.config, options, what == "step" ? bench_step : bench_encode);
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
