#include <cstdio>
#include <string>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/option_text.hpp"
#include "configs/validate_config.hpp"
#include "launch/command_line.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/mpi_session.hpp"
#include "launch/step_bench.hpp"

namespace gondola {
namespace {

constexpr const char* kHelp =
    "What to measure:\n"
    "  step    one JSON object a line, for the siren (1x28x28) and the conv decoder (1x32x32), or "
    "for the one that\n"
    "          --model.decoder names: images/s, seconds by phase, sgemm rate, and "
    "ratio_to_double_backward: how many times\n"
    "          faster than plain libtorch modules with torch::optim::Adam, alternated in one "
    "process\n"
    "Every option of train can be given, such as --trainer.batch_size, --latent.size, "
    "--bench.repeats, --bench.threads.\n";

}  // namespace

int run_bench(std::span<const std::string> args, MpiSession& mpi) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h") {
    std::fputs(command_help("bench", kHelp).c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  if (args[0] != "step") {
    throw ConfigError("gondola bench measures 'step', not '" + args[0] +
                      "'; see gondola bench --help");
  }
  if (mpi.size() != 1) {
    throw WorldError("gondola bench step runs on one rank, and was started on " +
                     std::to_string(mpi.size()) + "; start it without mpirun");
  }
  const auto options = args.subspan(1);
  auto loaded = load_config(options, current_environment());
  if (loaded.help) {
    std::fputs(command_help("bench", kHelp + options_help()).c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  bool one_decoder = false;
  for (const auto& option : options)
    one_decoder = one_decoder || option.starts_with("--model.decoder");
  auto config = loaded.config;
  config.parallel.device = DeviceKind::kCpu;
  config.parallel.threads = config.bench.threads;
  (void)bind_device(config.parallel, mpi);
  for (const auto decoder : {DecoderKind::kSiren, DecoderKind::kConv}) {
    if (one_decoder && decoder != config.model.decoder) continue;
    auto measured = config;
    measured.model.decoder = decoder;
    const bool conv = decoder == DecoderKind::kConv;
    if (!one_decoder)
      measured.model.activation = conv ? ActivationKind::kElu : ActivationKind::kSin;
    const std::int64_t side = conv ? 32 : 28;
    std::printf("%s\n",
                bench_step(measured, {.channels = 1, .height = side, .width = side}).c_str());
    std::fflush(stdout);
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
