#include "data/inspect.hpp"

#include <filesystem>
#include <iostream>
#include <string>

#include "configs/errors.hpp"
#include "launch/collective_files.hpp"
#include "launch/command_options.hpp"
#include "launch/commands/commands.hpp"

namespace gondola {

namespace po = boost::program_options;

int run_inspect(std::span<const std::string> args) {
  po::options_description table("Options");
  table.add_options()("verify", "read everything and check it against the stored checksums")(
      "statistics",
      "read everything and tell mean, range and histogram of each channel, and images "
      "that are there twice")("sheet", po::value<std::string>(),
                              "write the first images as a new PNG of this name");
  const auto values = parse_command_options("inspect", args, "file", table);
  if (!values) {
    return static_cast<int>(ExitCode::kDone);
  }
  if (values->count("file") == 0) {
    throw ConfigError(
        "the dataset file to inspect is missing; give gondola inspect FILE, or the "
        "folder of a run");
  }
  const auto path = (*values)["file"].as<std::string>();
  const bool is_run = std::filesystem::is_directory(path);
  for (const char* option : {"verify", "statistics", "sheet"}) {
    if (is_run && values->count(option) > 0) {
      throw ConfigError(std::string("--") + option + " is for a dataset file, but " + path +
                        " is a folder; leave it out, or give the file");
    }
  }
  if (values->count("sheet") > 0) {
    require_new_sheet((*values)["sheet"].as<std::string>());
  }
  if (is_run) {
    std::cout << collective_verdict(path) << "\n";
    return static_cast<int>(ExitCode::kDone);
  }
  const bool verify = values->count("verify") > 0;
  const auto summary = inspect_dataset(path, verify ? Checksums::kVerify : Checksums::kAsStored);
  print_summary(summary, std::cout);
  if (values->count("statistics") > 0) {
    print_statistics(inspect_pixels(path), std::cout);
  }
  require_intact(summary);
  if (values->count("sheet") > 0) {
    write_contact_sheet(path, (*values)["sheet"].as<std::string>());
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
