#include "data/inspect.hpp"

#include <filesystem>
#include <iostream>
#include <string>

#include "configs/errors.hpp"
#include "data/pixel_statistics.hpp"
#include "launch/collective_files.hpp"
#include "launch/commands/commands.hpp"
#include "launch/commands/dataset_command_options.hpp"

namespace gondola {

namespace po = boost::program_options;

int run_inspect(std::span<const std::string> args) {
  po::options_description table("Options");
  table.add_options()("verify", "read everything and check it against the stored checksums")(
      "statistics",
      "read everything and tell mean, range and histogram of each channel, and images "
      "that are there twice")("sheet", po::value<std::string>(),
                              "write the first images as a new PNG of this name");
  const auto values = parse_dataset_command("inspect", args, "file", table);
  if (!values) {
    return static_cast<int>(ExitCode::kDone);
  }
  if (values->count("file") == 0) {
    throw ConfigError(
        "the dataset file to inspect is missing; give gondola inspect FILE, or the "
        "folder of a run");
  }
  if (values->count("sheet") > 0) {
    require_new_sheet((*values)["sheet"].as<std::string>());
  }
  const auto path = (*values)["file"].as<std::string>();
  if (std::filesystem::is_directory(path)) {
    std::cout << collective_verdict(path) << "\n";
    return static_cast<int>(ExitCode::kDone);
  }
  const bool verify = values->count("verify") > 0;
  const auto summary = inspect_dataset(path, verify ? Checksums::kVerify : Checksums::kAsStored);
  print_summary(summary, std::cout);
  if (values->count("statistics") > 0) {
    print_statistics(count_pixels(DatasetFile(path)), std::cout);
  }
  require_intact(summary);
  if (values->count("sheet") > 0) {
    write_contact_sheet(path, (*values)["sheet"].as<std::string>());
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
