#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/nearest_name.hpp"
#include "data/atomic_file.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/model_options.hpp"
#include "launch/mpi_session.hpp"
#include "launch/trained_model.hpp"
#include "trainer/checkpoint/weight_formats.hpp"

namespace gondola {
namespace {

/// Parameters and running averages under the names of their checkpoint, and the mean training
/// image.
NamedTensors tensors_of(TrainedModel& model) {
  NamedTensors tensors;
  const auto add = [&](const std::string& name, const torch::Tensor& tensor) {
    tensors.emplace_back(name, tensor.detach().to(torch::kCPU).clone(at::MemoryFormat::Contiguous));
  };
  auto& parameters = model.decoder().parameters();
  for (std::size_t i = 0; i < parameters.count(); ++i) add(parameters.name(i), parameters[i]);
  for (const auto& average : parameters.running_averages()) {
    add(average.name + ".running_mean", average.mean);
    add(average.name + ".running_var", average.variance);
  }
  add("mean_image", model.mean_image());
  return tensors;
}

}  // namespace

int run_export(std::span<const std::string> args, MpiSession& mpi) {
  namespace po = boost::program_options;
  po::options_description table("Options");
  table.add_options()  //
      ("format", po::value<std::string>()->default_value("safetensors"),
       "safetensors | pt (for torch.load) | hdf5")  //
      ("output", po::value<std::string>(),
       "file to write; by default weights.<format> in the run folder");
  const auto values = parse_model_command("export", args, table);
  if (!values) return static_cast<int>(ExitCode::kDone);
  require_one_rank("export", mpi.size());
  const auto format = (*values)["format"].as<std::string>();
  const std::vector<std::string> formats = {"safetensors", "pt", "hdf5"};
  if (std::find(formats.begin(), formats.end(), format) == formats.end()) {
    const auto meant = did_you_mean(format, formats);
    throw ConfigError("--format is safetensors, pt or hdf5, not '" + format + "'" + meant);
  }
  const auto output = output_path(*values, "weights." + (format == "hdf5" ? "h5" : format));
  const auto binding = bind_device({}, mpi);
  TrainedModel model((*values)["run"].as<std::string>(), binding.device);
  const auto tensors = tensors_of(model);
  const std::map<std::string, std::string> metadata = {{"format", "gondola-weights"},
                                                       {"checkpoint", model.checkpoint().string()},
                                                       {"config", to_ini(model.config())}};
  write_file_atomically(output, format == "safetensors" ? as_safetensors(tensors, metadata)
                                : format == "pt"        ? as_torch_file(tensors)
                                                        : as_hdf5(tensors, metadata));
  std::printf("%zu tensors of %s: %s\n", tensors.size(), model.checkpoint().c_str(),
              output.c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
