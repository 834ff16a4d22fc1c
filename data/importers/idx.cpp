#include "data/importers/idx.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <optional>

#include "configs/errors.hpp"
#include "data/checksum.hpp"
#include "data/dataset_writer.hpp"
#include "data/images/resize.hpp"
#include "data/importers/idx_file.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSplits = {Split::kTrain, Split::kTest};

/// The paths of one split; empty where there is none.
struct Parts {
  std::string images, labels;
};

std::string lower_name(const fs::path& path) {
  std::string name = path.filename().string();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// Which split a file name speaks of.
std::optional<Split> split_of(const std::string& name) {
  if (contains(name, "train")) {
    return Split::kTrain;
  }
  if (contains(name, "t10k") || contains(name, "test")) {
    return Split::kTest;
  }
  return std::nullopt;
}

bool is_packed(const fs::path& path) { return path.extension() == ".gz"; }

/// Sorts files into the parts of the splits.
class PartFinder {
 public:
  void add_input(const std::string& input) {
    if (fs::is_directory(input)) {
      add_folder(input);
    } else if (!fs::exists(input)) {
      throw MissingInputError("there is no file or folder " + input + "; check the path");
    } else if (!add_file(input)) {
      throw ConfigError("it cannot be told from the name of " + input +
                        " what it holds; name files train-images, train-labels, t10k-images, "
                        "t10k-labels");
    }
  }

  const Parts& operator[](Split split) const { return parts_[static_cast<std::size_t>(split)]; }

 private:
  void add_folder(const std::string& folder) {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = lower_name(entry.path());
      if (entry.is_regular_file() && (contains(name, "idx") || contains(name, "ubyte"))) {
        paths.push_back(entry.path());
      }
    }
    std::sort(paths.begin(), paths.end());
    const auto added = std::count_if(paths.begin(), paths.end(),
                                     [this](const fs::path& path) { return add_file(path); });
    if (added == 0) {
      throw MissingInputError("there are no IDX files such as train-images-idx3-ubyte.gz in " +
                              folder + "; check the path");
    }
  }

  /// False where the name does not say what the file holds.
  bool add_file(const fs::path& path) {
    const std::string name = lower_name(path);
    const auto split = split_of(name);
    const bool images = contains(name, "image");
    if (!split || images == contains(name, "label")) {
      return false;
    }
    Parts& parts = parts_[static_cast<std::size_t>(*split)];
    std::string& part = images ? parts.images : parts.labels;
    const bool same_but_packed = !part.empty() && is_packed(part) != is_packed(path) &&
                                 (is_packed(path) ? path.stem() == fs::path(part).filename()
                                                  : fs::path(part).stem() == path.filename());
    if (!part.empty() && !same_but_packed) {
      throw ConfigError("both " + part + " and " + path.string() +
                        " could be the same part of the dataset; name the files to use one by one");
    }
    if (part.empty() || !is_packed(path)) {
      part = path.string();
    }
    return true;
  }

  std::array<Parts, kSplits.size()> parts_;
};

/// The open files of one split, with sizes that fit each other. C = 1 for files of 3 dimensions.
struct OpenSplit {
  Split split = Split::kTrain;
  IdxFile images;
  std::optional<IdxFile> labels;
  std::int64_t available = 0, used = 0;
  std::int64_t channels = 1, height = 0, width = 0;
};

OpenSplit open_split(Split split, const Parts& parts, std::int64_t limit) {
  OpenSplit open{.split = split, .images = IdxFile(parts.images), .labels = {}};
  const auto& shape = open.images.shape();
  if (shape.size() < 3) {
    throw DataError(parts.images + " has " + std::to_string(shape.size()) +
                    " dimension where images have 3 or 4; check which file it is");
  }
  open.available = shape.front();
  open.used = limit > 0 ? std::min(limit, open.available) : open.available;
  open.channels = shape.size() == 4 ? shape[1] : 1;
  open.height = shape[shape.size() - 2];
  open.width = shape[shape.size() - 1];
  if (open.channels * open.height * open.width > kMostImageBytes) {
    throw DataError(parts.images + " announces images of " +
                    std::to_string(open.channels * open.height * open.width) +
                    " bytes, more than the " + std::to_string(kMostImageBytes) +
                    " that an image may have; check which file it is");
  }
  if (!parts.labels.empty()) {
    open.labels.emplace(parts.labels);
    if (open.labels->shape() != std::vector<std::int64_t>{open.available}) {
      throw DataError(parts.labels + " does not hold one label for each of the " +
                      std::to_string(open.available) + " images of " + parts.images +
                      "; give the two that belong together");
    }
  }
  return open;
}

std::string recipe_text(const OpenSplit& split, const IdxImport& recipe) {
  std::string text = "IDX";
  if (recipe.size > 0 && (recipe.size != split.height || recipe.size != split.width)) {
    const std::string to = std::to_string(recipe.size);
    text += ", bilinear " + std::to_string(split.height) + "x" + std::to_string(split.width) +
            " to " + to + "x" + to + " (half-pixel centres, rounded to 8 bits)";
  }
  if (recipe.limit > 0) {
    text += ", first " + std::to_string(recipe.limit) + " images of each split";
  }
  return text;
}

/// Copies the used images of a split into the dataset, some at a time.
void copy_split(OpenSplit& split, const DatasetPlan& plan, DatasetWriter& writer,
                const std::function<void(std::int64_t)>& copied) {
  const BilinearResizer resizer(split.height, split.width, plan.height, plan.width);
  const bool resize = split.height != plan.height || split.width != plan.width;
  const auto bytes = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  const std::int64_t in_bytes = split.channels * split.height * split.width;
  const std::int64_t out_bytes = plan.channels * plan.height * plan.width;
  constexpr std::int64_t kBufferBytes = 1 << 24;
  const std::int64_t at_once =
      std::clamp<std::int64_t>(kBufferBytes / std::max(in_bytes, out_bytes), 1, 256);
  std::vector<std::uint8_t> input(bytes(at_once * in_bytes));
  std::vector<std::uint8_t> resized(resize ? bytes(at_once * out_bytes) : 0);
  std::vector<std::uint8_t> raw_labels(bytes(at_once));

  for (std::int64_t first = 0; first < split.used; first += at_once) {
    const std::int64_t count = std::min(at_once, split.used - first);
    const auto read = std::span(input).first(bytes(count * in_bytes));
    split.images.read(read);
    std::span<const std::uint8_t> images = read;
    if (resize) {
      const auto made = std::span(resized).first(bytes(count * out_bytes));
      resizer.resize(read, made);
      images = made;
    }
    std::vector<std::int64_t> labels;
    if (split.labels) {
      const auto part = std::span(raw_labels).first(bytes(count));
      split.labels->read(part);
      labels.assign(part.begin(), part.end());
    }
    writer.append(split.split, images, labels);
    copied(count);
  }
  if (split.used == split.available) {
    split.images.expect_end();
    if (split.labels) {
      split.labels->expect_end();
    }
  }
}

SourceFile describe_source(const std::string& path) {
  return {fs::path(path).filename().string(), sha256_of_file(path)};
}

}  // namespace

void import_idx(const IdxImport& recipe) {
  PartFinder parts;
  for (const std::string& input : recipe.inputs) {
    parts.add_input(input);
  }
  std::vector<OpenSplit> splits;
  for (const Split split : kSplits) {
    if (!parts[split].images.empty()) {
      splits.push_back(open_split(split, parts[split], recipe.limit));
    } else if (!parts[split].labels.empty()) {
      throw MissingInputError("the images that belong to " + parts[split].labels +
                              " are missing; give their file too");
    }
  }
  if (splits.empty()) {
    throw MissingInputError("no images were given to import; give a folder or files with --input");
  }
  const OpenSplit& one = splits.front();
  const OpenSplit& other = splits.back();
  if (one.channels != other.channels ||
      (recipe.size == 0 && (one.height != other.height || one.width != other.width))) {
    throw DataError(one.images.path() + " and " + other.images.path() +
                    " hold images of different sizes; import them at one --size, or apart");
  }

  DatasetPlan plan;
  plan.name = recipe.name.empty() ? fs::path(recipe.output).stem().string() : recipe.name;
  plan.recipe = recipe_text(one, recipe);
  plan.channels = one.channels;
  plan.height = recipe.size > 0 ? recipe.size : one.height;
  plan.width = recipe.size > 0 ? recipe.size : one.width;
  std::int64_t total = 0;
  for (const OpenSplit& split : splits) {
    const bool train = split.split == Split::kTrain;
    (train ? plan.train_images : plan.test_images) = split.used;
    (train ? plan.train_labels : plan.test_labels) = split.labels.has_value();
    total += split.used;
  }

  DatasetWriter writer(recipe.output, plan);
  std::vector<SourceFile> sources;
  std::int64_t done = 0;
  for (OpenSplit& split : splits) {
    copy_split(split, plan, writer, [&](std::int64_t count) {
      done += count;
      if (recipe.progress) {
        recipe.progress(done, total);
      }
    });
    sources.push_back(describe_source(split.images.path()));
    if (split.labels) {
      sources.push_back(describe_source(split.labels->path()));
    }
  }
  writer.commit(sources);
}

}  // namespace gondola
