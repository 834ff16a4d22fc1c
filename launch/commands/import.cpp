#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "configs/errors.hpp"
#include "data/image_source.hpp"
#include "data/importers/import_job.hpp"
#include "data/importers/importers.hpp"
#include "data/inspect.hpp"
#include "launch/command_options.hpp"
#include "launch/commands/commands.hpp"

namespace gondola {
namespace {

namespace po = boost::program_options;

constexpr std::int64_t kLargestSide = 16384;
constexpr std::int64_t kMostJobs = 1024;

po::options_description option_table() {
  std::string caption = "FORMAT is one of\n";
  for (const Importer& one : importers()) {
    std::string name = one.name;
    name.resize(10, ' ');
    caption += "  " + name + one.summary + "\n";
  }
  po::options_description table(caption + "Options");
  table.add_options()("input", po::value<std::vector<std::string>>()->composing(),
                      "folder, file or archive of the dataset; may be given several times")(
      "output", po::value<std::string>(),
      "dataset file to make; what an earlier run of the same import finished is kept")(
      "size", po::value<std::string>()->default_value("0"),
      "pixels of the images made, HEIGHTxWIDTH or one number for both; 0: leave as they are")(
      "crop", po::value<std::string>()->default_value("none"),
      "none, or center: first cut out the largest centred part of the size's proportions")(
      "filter", po::value<std::string>()->default_value("bilinear"),
      "box, bilinear, bicubic or lanczos, antialiased as Pillow's are")(
      "channels", po::value<std::int64_t>()->default_value(0),
      "1: make grey, 3: make colour, 0: leave")("limit",
                                                po::value<std::int64_t>()->default_value(0),
                                                "first so many images of each split; 0: all")(
      "split", po::value<std::string>()->default_value(""),
      "draw the splits anew from all images, such as train=0.9,test=0.1")(
      "seed", po::value<std::int64_t>()->default_value(0), "of that draw")(
      "shard-images", po::value<std::int64_t>()->default_value(0),
      "cut the dataset into files of so many images, <output>-train-00000-of-00004 and so on; 0: "
      "one file")("skip-bad",
                  "leave out pictures that cannot be unpacked, and list them (reads all twice)")(
      "jobs", po::value<std::int64_t>()->default_value(0),
      "threads that unpack and resize; 0: one for each core")(
      "name", po::value<std::string>()->default_value(""),
      "name of the dataset; by default that of the output")(
      "face-crop", po::value<std::int64_t>()->default_value(0),
      "celeba: side of the centred square, 140, 148 or 178 pixels of 178x218; 0: 148")(
      "cameras", po::value<std::string>()->default_value(""),
      "norb: images (two images a pair; the default) or channels (one image of two channels)")(
      "dataset", po::value<std::string>()->default_value(""),
      "hdf5: path of the images in the file; by default the only one that can be images");
  return table;
}

/// @throws ConfigError beyond 0..most
std::int64_t number_option(const po::variables_map& values, const char* name, std::int64_t most) {
  const auto value = values[name].as<std::int64_t>();
  if (value < 0 || value > most) {
    throw ConfigError(std::string("--") + name + " " + std::to_string(value) +
                      " is not possible; give a number from 0 to " + std::to_string(most));
  }
  return value;
}

/// The value of an option that takes one of a few words. @throws ConfigError
template <typename Choice>
Choice word_option(const po::variables_map& values, const char* name,
                   const std::vector<std::pair<std::string, Choice>>& choices) {
  const auto word = values[name].as<std::string>();
  std::string words;
  for (const auto& [choice, meaning] : choices) {
    if (choice == word) return meaning;
    words += (words.empty() ? "" : ", ") + choice;
  }
  throw ConfigError(std::string("--") + name + " " + word + " is not known; give one of " + words);
}

/// A whole number of digits alone, or -1.
std::int64_t parse_side(const std::string& text) {
  if (text.empty() || text.size() > 6 || text.find_first_not_of("0123456789") != text.npos)
    return -1;
  return std::stoll(text);
}

void read_size(const std::string& text, FitOptions& fit) {
  const auto cross = text.find('x');
  fit.height = parse_side(text.substr(0, cross));
  fit.width = cross == std::string::npos ? fit.height : parse_side(text.substr(cross + 1));
  const bool none = cross == std::string::npos && fit.height == 0;
  if (!none &&
      (std::min(fit.height, fit.width) < 1 || std::max(fit.height, fit.width) > kLargestSide)) {
    throw ConfigError("--size " + text +
                      " is not possible; give HEIGHTxWIDTH or one number, up to " +
                      std::to_string(kLargestSide) + " a side");
  }
}

/// The share of train=A,test=B. @throws ConfigError unless A + B = 1
std::optional<double> read_split(const std::string& text) {
  if (text.empty()) return std::nullopt;
  double train = -1, test = -1;
  int read = 0;
  if (std::sscanf(text.c_str(), "train=%lf,test=%lf%n", &train, &test, &read) == 2 &&
      static_cast<std::size_t>(read) == text.size() && train >= 0 && test >= 0 &&
      std::abs(train + test - 1) < 1e-9) {
    return train;
  }
  throw ConfigError("--split " + text +
                    " is not understood; give two shares that add up to 1, such as "
                    "train=0.9,test=0.1");
}

ImportOptions import_options(const po::variables_map& values) {
  ImportOptions options;
  options.output = values["output"].as<std::string>();
  options.name = values["name"].as<std::string>();
  if (options.name.empty()) options.name = std::filesystem::path(options.output).stem();
  read_size(values["size"].as<std::string>(), options.fit);
  options.fit.crop = word_option<FitOptions::Crop>(
      values, "crop", {{"none", FitOptions::Crop::kNone}, {"center", FitOptions::Crop::kCenter}});
  if (options.fit.crop == FitOptions::Crop::kCenter && options.fit.height == 0) {
    throw ConfigError("--crop center needs a --size whose proportions to cut to; give one");
  }
  options.fit.filter = word_option<Filter>(values, "filter",
                                           {{"box", Filter::kBox},
                                            {"bilinear", Filter::kBilinear},
                                            {"bicubic", Filter::kBicubic},
                                            {"lanczos", Filter::kLanczos}});
  if (!values["filter"].defaulted() && options.fit.height == 0) {
    throw ConfigError("--filter " + values["filter"].as<std::string>() +
                      " needs a --size to bring the images to; give one, or leave it out");
  }
  options.fit.channels = values["channels"].as<std::int64_t>();
  if (options.fit.channels != 0 && options.fit.channels != 1 && options.fit.channels != 3) {
    throw ConfigError("--channels " + std::to_string(options.fit.channels) +
                      " is not possible; give 1 (grey), 3 (colour) or 0 (leave)");
  }
  const std::int64_t bytes = options.fit.height * options.fit.width * options.fit.channels;
  if (bytes > kMostImageBytes) {
    throw ConfigError("--size " + values["size"].as<std::string>() + " with --channels " +
                      std::to_string(options.fit.channels) + " makes images of " +
                      std::to_string(bytes) + " bytes, but an image has at most " +
                      std::to_string(kMostImageBytes) + "; give a smaller size");
  }
  options.plan.limit = number_option(values, "limit", std::int64_t{1} << 40);
  options.plan.train_share = read_split(values["split"].as<std::string>());
  options.plan.seed =
      static_cast<std::uint64_t>(number_option(values, "seed", std::int64_t{1} << 62));
  if (!values["seed"].defaulted() && !options.plan.train_share) {
    throw ConfigError("--seed " + std::to_string(options.plan.seed) +
                      " needs a --split to draw; give one, such as train=0.9,test=0.1, or leave "
                      "it out");
  }
  options.plan.shard_images = number_option(values, "shard-images", kMostImages);
  options.jobs = number_option(values, "jobs", kMostJobs);
  if (options.jobs == 0) {
    options.jobs = std::clamp<std::int64_t>(std::thread::hardware_concurrency(), 1, kMostJobs);
  }
  if (values.count("skip-bad") > 0) options.bad_images = ImportOptions::BadImages::kSkip;
  return options;
}

SourceOptions source_options(const po::variables_map& values) {
  return {.inputs = values["input"].as<std::vector<std::string>>(),
          .face_crop = values["face-crop"].as<std::int64_t>(),
          .cameras = values["cameras"].as<std::string>(),
          .dataset = values["dataset"].as<std::string>()};
}

/// Options that only one format knows are refused with the others.
void refuse_other_options(const po::variables_map& values, const std::string& format) {
  for (const auto& [option, owner] : {std::pair("face-crop", "celeba"),
                                      std::pair("cameras", "norb"), std::pair("dataset", "hdf5")}) {
    if (!values[option].defaulted() && format != owner) {
      throw ConfigError(std::string("--") + option + " is for gondola import " + owner +
                        ", not for " + format + "; leave it out");
    }
  }
}

/// A line that counts up on a terminal; nothing elsewhere.
void show_progress(const char* doing, std::int64_t done, std::int64_t total) {
  if (::isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, "\r%s %lld of %lld images%s", doing, static_cast<long long>(done),
                 static_cast<long long>(total), done == total ? "\n" : "");
  }
}

/// What was made and what was there already.
void print_report(const ImportReport& report) {
  for (const auto& path : report.kept) std::printf("%s (was complete already)\n", path.c_str());
  for (const auto& path : report.made) std::printf("%s\n", path.c_str());
  std::printf("%lld training and %lld test images\n", static_cast<long long>(report.images[0]),
              static_cast<long long>(report.images[1]));
  if (report.bad_images.empty()) return;
  std::fprintf(stderr, "gondola: warning: %zu images were left out:\n", report.bad_images.size());
  for (const auto& why : report.bad_images) std::fprintf(stderr, "  %s\n", why.c_str());
}

}  // namespace

int run_import(std::span<const std::string> args) {
  const auto values = parse_command_options("import", args, "format", option_table());
  if (!values) {
    return static_cast<int>(ExitCode::kDone);
  }
  if (values->count("format") == 0) {
    throw ConfigError(
        "the format to import is missing; give gondola import FORMAT --input PATH --output FILE, "
        "and see gondola import --help for the formats");
  }
  const Importer& format = importer((*values)["format"].as<std::string>());
  for (const char* needed : {"input", "output"}) {
    if (values->count(needed) == 0) {
      throw ConfigError(std::string("--") + needed + " is missing; give gondola import " +
                        format.name + " --input PATH --output FILE");
    }
  }
  refuse_other_options(*values, format.name);
  ImportOptions options = import_options(*values);
  options.progress = show_progress;
  const auto sheet = std::filesystem::path(options.output).replace_extension(".png");
  if (sheet == options.output) {
    throw ConfigError("--output " + options.output +
                      " has the ending of its contact sheet; give it another, such as .h5");
  }
  const auto source = format.open(source_options(*values));
  const bool sheet_was_there = std::filesystem::exists(sheet);
  const ImportReport report = run_import(*source, options);
  print_report(report);
  if (report.made.empty() && sheet_was_there) {
    return static_cast<int>(ExitCode::kDone);
  }
  try {
    require_new_sheet(sheet);
    write_contact_sheet(report.kept.empty() ? report.made.front() : report.kept.front(), sheet);
    std::printf("%s\n", sheet.c_str());
  } catch (const Error& error) {  // the dataset is whole: that is what was asked for
    std::fprintf(stderr, "gondola: warning: %s is whole, but has no contact sheet: %s\n",
                 options.output.c_str(), error.what());
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
