#include "data/importers/idx.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <numeric>
#include <optional>
#include <utility>

#include "configs/errors.hpp"
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

class IdxSource final : public ImportSource {
 public:
  explicit IdxSource(const std::vector<std::string>& inputs) {
    for (const std::string& input : inputs) parts_.add_input(input);
    for (const Split split : kSplits) {
      if (!parts_[split].images.empty()) {
        list(split);
      } else if (!parts_[split].labels.empty()) {
        throw MissingInputError("the images that belong to " + parts_[split].labels +
                                " are missing; give their file too");
      }
    }
    if (listing_.files.empty()) {
      throw MissingInputError(
          "no images were given to import; give a folder or files with --input");
    }
    listing_.recipe = "IDX";
  }

  void deliver(const std::function<bool(ImportPlace)>& wanted,
               const std::function<void(RawImage)>& take) override {
    for (const Split split : kSplits) {
      const std::int64_t images = listing_.of(split).images;
      if (images == 0) continue;
      IdxFile file(parts_[split].images);
      if (file.shape().front() != images) {
        throw DataError(file.path() +
                        " changed while it was imported; start again when it is complete");
      }
      const std::int64_t bytes = image_bytes(file);
      for (std::int64_t i = 0; i < images; ++i) {
        RawImage image{.place = {split, i},
                       .name = file.path() + ", image " + std::to_string(i),
                       .bytes = std::vector<std::uint8_t>(static_cast<std::size_t>(bytes))};
        file.read(image.bytes);
        if (wanted(image.place)) take(std::move(image));
      }
      file.expect_end();
    }
  }

  [[nodiscard]] PlanarImage decode(const RawImage& image) const override {
    PlanarImage planar = shapes_[static_cast<std::size_t>(image.place.split)];
    planar.pixels = image.bytes;
    return planar;
  }

 private:
  static std::int64_t image_bytes(const IdxFile& file) {
    const auto& shape = file.shape();
    return std::accumulate(shape.begin() + 1, shape.end(), std::int64_t{1}, std::multiplies<>());
  }

  void list(Split split) {
    const IdxFile images(parts_[split].images);
    const auto& shape = images.shape();
    if (shape.size() < 3) {
      throw DataError(images.path() + " has " + std::to_string(shape.size()) +
                      " dimension where images have 3 or 4; check which file it is");
    }
    if (image_bytes(images) > kMostImageBytes) {
      throw DataError(images.path() + " announces images of " +
                      std::to_string(image_bytes(images)) + " bytes, more than the " +
                      std::to_string(kMostImageBytes) +
                      " that an image may have; check which file it is");
    }
    if (shape.front() > kMostImages) {
      throw DataError(images.path() + " announces " + std::to_string(shape.front()) +
                      " images, more than the " + std::to_string(kMostImages) +
                      " that a split may have; check which file it is");
    }
    shapes_[static_cast<std::size_t>(split)] = {.channels = shape.size() == 4 ? shape[1] : 1,
                                                .height = shape[shape.size() - 2],
                                                .width = shape[shape.size() - 1]};
    listing_.of(split).images = shape.front();
    listing_.files.push_back(images.path());
    if (!parts_[split].labels.empty()) read_labels(split, images.path());
  }

  void read_labels(Split split, const std::string& images_path) {
    IdxFile labels(parts_[split].labels);
    auto& part = listing_.of(split);
    if (labels.shape() != std::vector<std::int64_t>{part.images}) {
      throw DataError(labels.path() + " does not hold one label for each of the " +
                      std::to_string(part.images) + " images of " + images_path +
                      "; give the two that belong together");
    }
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(part.images));
    labels.read(bytes);
    labels.expect_end();
    part.labels.assign(bytes.begin(), bytes.end());
    listing_.files.push_back(labels.path());
  }

  PartFinder parts_;
  std::array<PlanarImage, 2> shapes_;  ///< By Split, without pixels.
};

}  // namespace

std::unique_ptr<ImportSource> open_idx(const SourceOptions& options) {
  return std::make_unique<IdxSource>(options.inputs);
}

}  // namespace gondola
