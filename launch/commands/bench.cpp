#include <algorithm>
#include <cstdio>
#include <iterator>
#include <optional>
#include <span>
#include <string>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/option_text.hpp"
#include "configs/siren_tile.hpp"
#include "configs/validate_config.hpp"
#include "data/image_source.hpp"
#include "launch/benches/allreduce_bench.hpp"
#include "launch/benches/checkpoint_bench.hpp"
#include "launch/benches/coordinates_bench.hpp"
#include "launch/benches/encode_bench.hpp"
#include "launch/benches/kernels_bench.hpp"
#include "launch/benches/loader_bench.hpp"
#include "launch/benches/memory_bench.hpp"
#include "launch/benches/overlap_bench.hpp"
#include "launch/benches/scaling_model_bench.hpp"
#include "launch/benches/step_bench.hpp"
#include "launch/command_line.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/matmul_choice.hpp"
#include "launch/mpi_session.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

void print_line(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// What a bench is called with.
struct Call {
  RunConfig config;
  std::span<const std::string> options;  ///< As they were given.
  MpiSession& mpi;
  torch::Device device = torch::kCPU;
};

/// Collective. What trainer.matmul = auto comes to for this model.
void settle_matmul(RunConfig& config, const Call& call) {
  if (config.trainer.matmul != Matmul::kAuto) return;
  CollectiveProgress progress;
  MpiCommunicator control(call.mpi.world(), progress);
  config.trainer.matmul = choose_matmul(config, call.device, /*resume_from=*/std::nullopt, control);
}

/// REQUIRES the option's name as the table has it.
bool is_given(std::span<const std::string> options, const std::string& name) {
  return std::ranges::any_of(options,
                             [&](const std::string& word) { return word.starts_with(name); });
}

using ModelBench = std::string (*)(const RunConfig&, const ImageShape&, torch::Device);

/// Of the images of --data.path, or of those that the published figures are for.
ImageShape bench_shape(const RunConfig& config, bool conv) {
  if (config.data.path.empty()) {
    const std::int64_t side = conv ? 32 : 28;
    return {.channels = 1, .height = side, .width = side};
  }
  return shape_of(*open_source(config.data.path, Split::kTrain, CacheKind::kNone));
}

/// Of both decoders, or of the one that is named.
void bench_models(const Call& call, ModelBench bench) {
  const bool one_decoder = is_given(call.options, "--model.decoder");
  for (const auto decoder : {DecoderKind::kSiren, DecoderKind::kConv}) {
    if (one_decoder && decoder != call.config.model.decoder) continue;
    auto measured = call.config;
    measured.model.decoder = decoder;
    const bool conv = decoder == DecoderKind::kConv;
    if (!one_decoder)
      measured.model.activation = conv ? ActivationKind::kElu : ActivationKind::kSin;
    settle_matmul(measured, call);
    print_line(bench(measured, bench_shape(measured, conv), call.device));
  }
}

/// Where a bench runs.
enum class On {
  kCpu,     ///< One rank, on the CPU.
  kDevice,  ///< One rank, where parallel.device says.
  kRanks,   ///< Any number of ranks, on CPUs.
};

struct Bench {
  const char* name;
  const char* help;  ///< Lines that stand ten columns in.
  void (*run)(Call&);
  On on = On::kCpu;
  bool each_decoder = false;  ///< Measures bench_models().
};

constexpr Bench kBenches[] = {
    {"step", R"(
          one JSON object a line, for the siren (1x28x28) and the conv decoder (1x32x32), or for
          the one that --model.decoder names, on noise of that size or of the size of --data.path's
          images (synthetic:64x1x64x64): images/s, seconds by phase, sgemm rate, and
          ratio_to_double_backward: how many times faster than plain libtorch modules with
          torch::optim::Adam, alternated in one process; the same in processor seconds
          (ratio_of_cpu_seconds), and where both multiply matrices by ATen (ratio_same_matmul);
          step_to_decoder_step: to a step whose latents are given; share_of_matmul_rate: of the
          rate of its matrix products alone (siren).  On the GPU where there is one; on the CPU with
          --parallel.device cpu
)",
     [](Call& call) { bench_models(call, bench_step); }, On::kDevice,
     /*each_decoder=*/true},
    {"encode", R"(
          one JSON object a line, likewise: images/s at fixed weights by one matrix product, and
          ratio_to_gradient_encode: how many times faster than a backward pass for each image;
          share_of_matmul_rate and the device as above
)",
     [](Call& call) { bench_models(call, bench_encode); }, On::kDevice,
     /*each_decoder=*/true},
    {"coordinates", R"(
          one JSON object a line for the siren decoder, on synthetic 1x128x128 or the first images
          of --data.path: the error of the gradient of drawn coordinates against the full grid's,
          sampler by sampler at equal cost, then the seconds of a step with 1024 of them on images
          of 64x64 to 1024x1024
)",
     [](Call& call) { bench_coordinates(call.config, print_line); }},
    {"memory", R"(
          one JSON object a line for the siren decoder: the bytes that a step adds to the process,
          on 1x28x28 and, exact, on 8 images of 128x128 and of 1024x1024
)",
     [](Call& call) { bench_memory(call.config, print_line); }},
    {"kernels", R"(
          one JSON object a line for each operation between the products of a siren step, by the
          loops of each instruction set of this processor, on one thread, or by a GPU's kernels:
          elements a second, and how many times faster than the same written with ATen
          (ratio_to_aten); then, on a CPU, GFLOP/s of the matrix products by each library
)",
     [](Call& call) { bench_kernels(call.config, call.device, print_line); }, On::kDevice},
    {"allreduce", R"(
          one JSON object a line and size, under mpirun: the sum of a gradient over the ranks, its
          bytes a second on the bus, and how many times faster it is than other ways to it:
          MPI_Allreduce of the same bytes (ratio_to_mpi_allreduce), MPI's reduce-scatter and
          all-gather (ratio_to_reduce_scatter), over all ranks at once where it is added machine by
          machine (ratio_to_all_ranks_at_once), and in buckets of 16 MiB (ratio_to_largest_bucket)
          in place of those that --parallel.bucket_bytes gives or auto chooses.  Over a slow network
          the largest sizes are left out
)",
     [](Call& call) { bench_allreduce(call.config, call.mpi, print_line); }, On::kRanks},
    {"overlap", R"(
          one JSON object, under mpirun, for the model of the options: seconds of a step in which
          the ranks wait for all-reduces, as they overlap them with computation and as they do
          not (--parallel.overlap off), in turn; hidden_share: what overlapping takes off them,
          hidden_share_of_gradient: off the gradient's alone, without the sums before it; and
          ratio_to_step_as_a_whole: how many times faster the step is
)",
     [](Call& call) {
       const bool conv = call.config.model.decoder == DecoderKind::kConv;
       bench_overlap(call.config, bench_shape(call.config, conv), call.mpi, print_line);
     },
     On::kRanks},
    {"scaling-model", R"(
          JSON objects, under mpirun, for the model of the options: latency and bandwidth of a
          message, fitted to sums over the ranks; the step of these ranks as predicted from them
          and as measured; and the step and its efficiency on 1 to 4096 ranks, for the model's
          work or --bench.step_flop a rank and step
)",
     [](Call& call) {
       const bool conv = call.config.model.decoder == DecoderKind::kConv;
       bench_scaling_model(call.config, bench_shape(call.config, conv), call.mpi, print_line);
     },
     On::kRanks},
    {"loader", R"(
          one JSON object a line and case (shuffle, cache, threads) for 60,000 images 1x28x28 and
          60,000 images 3x64x64 that it makes, or for the dataset of --data.path: images/s,
          bytes/s, and how many times faster than plain pread (ratio_to_pread) and than the better
          of that and a mapped file (ratio_to_control)
)",
     [](Call& call) {
       const bool one_shuffle = is_given(call.options, "--data.shuffle");
       bench_loader(call.config,
                    one_shuffle ? std::optional(call.config.data.shuffle) : std::nullopt,
                    print_line);
     }},
    {"checkpoint", R"(
          one JSON object for a siren of 500 MB (--model.hidden 3712 and batches of 4 images
          1x8x8, unless they are given): step times while a checkpoint is written beside training,
          and while training waits for it, to those without one (ratio_of_medians, ratio_of_p95);
          written in TMPDIR
)",
     [](Call& call) {
       if (!is_given(call.options, "--model.hidden")) call.config.model.hidden = 3712;
       if (!is_given(call.options, "--trainer.batch_size")) call.config.trainer.batch_size = 4;
       print_line(bench_checkpoint(call.config));
     }},
};

/// Of all benches, or of one.
std::string help_of(std::span<const Bench> benches) {
  std::string text = "What to measure:\n";
  for (const auto& bench : benches) text += std::string("  ") + bench.name + bench.help;
  return text +
         "Every option of train can be given, such as --trainer.batch_size, --latent.size, "
         "--bench.repeats, --bench.threads.\n";
}

const Bench& bench_called(const std::string& name) {
  std::string names;
  for (const auto& bench : kBenches) {
    if (name == bench.name) return bench;
    if (!names.empty()) names += &bench == std::end(kBenches) - 1 ? " or " : ", ";
    names += bench.name;
  }
  throw ConfigError("gondola bench measures " + names + ", not '" + name +
                    "'; see gondola bench --help");
}

}  // namespace

int run_bench(std::span<const std::string> args, MpiSession& mpi) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h") {
    std::fputs(command_help("bench", help_of(kBenches)).c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  const auto& bench = bench_called(args[0]);
  if (mpi.size() != 1 && bench.on != On::kRanks) {
    throw WorldError("gondola bench " + args[0] + " runs on one rank, and was started on " +
                     std::to_string(mpi.size()) + "; start it without mpirun");
  }
  const auto options = args.subspan(1);
  auto loaded = load_config(options, current_environment());
  if (loaded.help) {
    const auto help = help_of({&bench, 1}) + options_help();
    std::fputs(command_help("bench", help).c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  if (bench.on != On::kDevice) loaded.config.parallel.device = DeviceKind::kCpu;
  if (const auto problem = tile_problem(loaded.config);
      !problem.empty() && loaded.config.model.decoder == DecoderKind::kSiren) {
    throw ConfigError(problem);
  }
  loaded.config.parallel.threads = loaded.config.bench.threads;
  const auto device = bind_device(loaded.config.parallel, mpi).device;
  if (loaded.config.trainer.cuda_graph && bench.on != On::kDevice) {
    throw ConfigError("gondola bench " + args[0] +
                      " measures on the CPU, which has no graphs: leave out trainer.cuda_graph");
  }
  check_graph(loaded.config, device, mpi.size());
  apply_precision(loaded.config);
  Call call{.config = loaded.config, .options = options, .mpi = mpi, .device = device};
  if (!bench.each_decoder) settle_matmul(call.config, call);
  bench.run(call);
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
