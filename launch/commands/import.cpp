#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/importers/idx.hpp"
#include "data/inspect.hpp"
#include "launch/commands/commands.hpp"
#include "launch/commands/dataset_command_options.hpp"

namespace gondola {
namespace {

namespace po = boost::program_options;

constexpr std::int64_t kLargestSide = 8192;

po::options_description option_table() {
  po::options_description table("Options (FORMAT: idx, the files of MNIST and Fashion-MNIST)");
  table.add_options()("input", po::value<std::vector<std::string>>()->composing(),
                      "folder or file of the published dataset; may be given several times")(
      "output", po::value<std::string>(), "dataset file to make; must not exist")(
      "size", po::value<std::int64_t>()->default_value(0),
      "resample to so many pixels a side, bilinear; 0: leave as they are")(
      "limit", po::value<std::int64_t>()->default_value(0),
      "first so many images of each split; 0: all")(
      "name", po::value<std::string>()->default_value(""),
      "name of the dataset; by default that of the output");
  return table;
}

/// The value of --size or --limit. @throws ConfigError beyond 0..most
std::int64_t number_option(const po::variables_map& values, const char* name, std::int64_t most) {
  const auto value = values[name].as<std::int64_t>();
  if (value < 0 || value > most) {
    throw ConfigError(std::string("--") + name + " " + std::to_string(value) +
                      " is not possible; give a number from 0 to " + std::to_string(most));
  }
  return value;
}

IdxImport recipe_of(const po::variables_map& values) {
  if (values.count("format") == 0 || values["format"].as<std::string>() != "idx") {
    throw ConfigError(
        (values.count("format") == 0
             ? std::string("the format to import is missing")
             : "the format '" + values["format"].as<std::string>() + "' is not known") +
        "; this program imports idx: gondola import idx --input PATH --output FILE");
  }
  for (const char* needed : {"input", "output"}) {
    if (values.count(needed) == 0) {
      throw ConfigError(std::string("--") + needed +
                        " is missing; give gondola import idx --input PATH --output FILE");
    }
  }
  IdxImport recipe;
  recipe.inputs = values["input"].as<std::vector<std::string>>();
  recipe.output = values["output"].as<std::string>();
  recipe.size = number_option(values, "size", kLargestSide);
  recipe.limit = number_option(values, "limit", std::int64_t{1} << 40);
  recipe.name = values["name"].as<std::string>();
  return recipe;
}

/// A line that counts up on a terminal; nothing elsewhere.
void show_progress(std::int64_t done, std::int64_t total) {
  if (::isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, "\r%lld of %lld images%s", static_cast<long long>(done),
                 static_cast<long long>(total), done == total ? "\n" : "");
  }
}

}  // namespace

int run_import(std::span<const std::string> args) {
  const auto values = parse_dataset_command("import", args, "format", option_table());
  if (!values) {
    return static_cast<int>(ExitCode::kDone);
  }
  IdxImport recipe = recipe_of(*values);
  recipe.progress = show_progress;
  const auto sheet = std::filesystem::path(recipe.output).replace_extension(".png");
  if (sheet == recipe.output) {
    throw ConfigError("--output " + recipe.output +
                      " has the ending of its contact sheet; give it another, such as .h5");
  }
  require_new_sheet(sheet);
  import_idx(recipe);
  std::printf("%s\n", recipe.output.c_str());
  try {
    write_contact_sheet(recipe.output, sheet);
    std::printf("%s\n", sheet.c_str());
  } catch (const IoError& error) {  // the dataset is whole: that is what was asked for
    std::fprintf(stderr, "gondola: warning: %s is whole, but has no contact sheet: %s\n",
                 recipe.output.c_str(), error.what());
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
