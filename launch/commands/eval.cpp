#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "configs/errors.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/model_options.hpp"
#include "launch/mpi_session.hpp"
#include "launch/trained_model.hpp"
#include "launch/watchdog.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {

int run_eval(std::span<const std::string> args, MpiSession& mpi) {
  auto table = model_option_table(/*default_images=*/0);
  table.add_options()("json", "print one JSON object instead of a table");
  const auto values = parse_model_command("eval", args, table);
  if (!values) return static_cast<int>(ExitCode::kDone);
  const auto options = model_options(*values);

  const auto binding = bind_device({}, mpi);
  CollectiveProgress progress;
  const Watchdog watchdog(progress, {.rank = mpi.rank(), .size = mpi.size()});
  MpiCommunicator control(mpi.world(), progress);
  TrainedModel model(options.run, binding.device, options.statistics, options.group_images);
  const auto source = model.open_images(options.data, options.split);
  const auto report = evaluate(model.config(), model.reconstructor(), *source, model.options(),
                               options.images, control);
  if (mpi.rank() != 0) return static_cast<int>(ExitCode::kDone);

  if (values->count("json") > 0) {
    nlohmann::ordered_json json = {{"checkpoint", model.checkpoint().string()},
                                   {"split", split_name(options.split)},
                                   {"images", report.images},
                                   {"encoding", report.encoding}};
    for (const auto& [name, value] : report.metrics) json[name] = value;
    std::printf("%s\n", json.dump().c_str());
    return static_cast<int>(ExitCode::kDone);
  }
  std::printf("checkpoint   %s\n", model.checkpoint().c_str());
  std::printf("images       %lld of %s\n", static_cast<long long>(report.images),
              source->name().c_str());
  std::printf("encoding     %s\n", report.encoding.c_str());
  std::printf("loss         %.4f  squared error per image\n", report.metrics.at("loss"));
  std::printf("psnr         %.3f  dB\n", report.metrics.at("psnr"));
  std::printf("ssim         %.4f\n", report.metrics.at("ssim"));
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
