#include "launch/model_options.hpp"

#include "configs/errors.hpp"
#include "launch/command_options.hpp"

namespace gondola {

namespace po = boost::program_options;

po::options_description model_option_table(std::int64_t default_images) {
  po::options_description table("Options");
  table.add_options()                                                                            //
      ("data", po::value<std::string>()->default_value(""), "dataset (default: the run's own)")  //
      ("split", po::value<std::string>()->default_value("test"), "test | train")                 //
      ("images", po::value<std::int64_t>()->default_value(default_images),
       "images from the start of the split; 0: all")  //
      ("statistics", po::value<std::string>()->default_value("independent"),
       "batch norm: independent (an image's latent depends on it alone) | batch (of --group "
       "images)")  //
      ("group", po::value<std::int64_t>()->default_value(100), "images decoded at once");
  return table;
}

std::optional<po::variables_map> parse_model_command(const std::string& command,
                                                     std::span<const std::string> args,
                                                     const po::options_description& table) {
  auto values = parse_command_options(command, args, "run", table);
  if (!values) return std::nullopt;
  if (values->count("run") == 0) {
    throw ConfigError("gondola " + command + " needs a run folder or a checkpoint: gondola " +
                      command + " RUN");
  }
  return values;
}

ModelOptions model_options(const po::variables_map& values) {
  ModelOptions options;
  options.run = values["run"].as<std::string>();
  options.data = values["data"].as<std::string>();
  options.images = values["images"].as<std::int64_t>();
  options.group_images = values["group"].as<std::int64_t>();
  const auto split = values["split"].as<std::string>();
  const auto statistics = values["statistics"].as<std::string>();
  if (split != "test" && split != "train")
    throw ConfigError("--split is test or train, not '" + split + "'");
  if (statistics != "independent" && statistics != "batch") {
    throw ConfigError("--statistics is independent or batch, not '" + statistics + "'");
  }
  if (options.images < 0)
    throw ConfigError("--images must be 0 (all) or more, not " + std::to_string(options.images));
  if (options.group_images < 1)
    throw ConfigError("--group must be at least 1, not " + std::to_string(options.group_images));
  options.split = split == "test" ? Split::kTest : Split::kTrain;
  options.statistics =
      statistics == "batch" ? EvaluationStatistics::kBatch : EvaluationStatistics::kIndependent;
  return options;
}

void require_one_rank(const std::string& command, int size) {
  if (size == 1) return;
  throw WorldError("gondola " + command + " runs on one rank, and was started on " +
                   std::to_string(size) + "; start it without mpirun");
}

std::filesystem::path output_path(const po::variables_map& values, const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path run = values["run"].as<std::string>();
  fs::path output;
  if (values.count("output") > 0) {
    output = values["output"].as<std::string>();
  } else if (!fs::exists(run / "state.h5")) {
    output = run / name;
  } else {
    const auto checkpoints = fs::canonical(run).parent_path();
    if (checkpoints.filename() != "checkpoints") {
      throw ConfigError("'" + run.string() +
                        "' is a checkpoint outside a run folder; name the file to write with "
                        "--output");
    }
    output = checkpoints.parent_path() / name;
  }
  if (fs::exists(output)) {
    throw ConfigError("'" + output.string() + "' exists already; name another --output");
  }
  return output;
}

}  // namespace gondola
