#include "data/importers/norb.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include "configs/errors.hpp"
#include "data/importers/gzip_file.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSplits = {Split::kTrain, Split::kTest};
constexpr std::uint32_t kBytes = 0x1E3D4C55, kIntegers = 0x1E3D4C54;

std::uint32_t little_endian(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

std::uint32_t read_number(GzipFile& file) {
  std::array<std::uint8_t, 4> bytes{};
  file.read(bytes);
  return little_endian(bytes);
}

/// Reads the header and holds it against the file. Returns the sizes, of which those that only fill
/// the header up are left out.
std::vector<std::int64_t> read_header(GzipFile& file, std::uint32_t type, std::int64_t value_bytes,
                                      std::size_t dimensions) {
  const std::uint32_t magic = read_number(file);
  if (magic != type) {
    std::array<char, 16> digits{};
    std::snprintf(digits.data(), digits.size(), "0x%08X", magic);
    file.refuse(std::string("does not begin as a matrix of ") +
                (type == kBytes ? "bytes (0x1E3D4C55)" : "integers (0x1E3D4C54)") + " but with " +
                digits.data() + "; check which file it is");
  }
  const std::uint32_t stored = read_number(file);
  if (stored != dimensions) {
    file.refuse("has " + std::to_string(stored) + " dimensions where " +
                std::to_string(dimensions) + " are needed; check which file it is");
  }
  constexpr std::size_t kLeastSizes = 3;
  std::vector<std::int64_t> sizes;
  std::int64_t bytes = value_bytes;
  for (std::size_t i = 0; i < std::max(kLeastSizes, dimensions); ++i) {
    const std::int64_t size = read_number(file);
    if (i >= dimensions) continue;
    if (size < 1) {
      file.refuse("is empty: one of its sizes is 0; give a file that has images");
    }
    if (__builtin_mul_overflow(bytes, size, &bytes) || bytes > file.most_bytes()) {
      file.refuse(
          "is truncated: its header announces more than such a file can hold; download it "
          "again");
    }
    sizes.push_back(size);
  }
  return sizes;
}

std::string lower_name(const fs::path& path) {
  std::string name = path.filename().string();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

/// The files of one split; empty where there is none.
struct Parts {
  std::string images, labels;
};

/// What a file is, from its name.
struct Part {
  std::optional<Split> split = {};
  enum class Kind { kImages, kLabels, kOther } kind = Kind::kOther;
};

std::optional<Part> part_of(const fs::path& path) {
  std::string name = lower_name(path);
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  Part part;
  if (name.ends_with("-dat.mat")) {
    part.kind = Part::Kind::kImages;
  } else if (name.ends_with("-cat.mat")) {
    part.kind = Part::Kind::kLabels;
  } else if (!name.ends_with("-info.mat")) {
    return std::nullopt;
  }
  if (name.find("training") != std::string::npos) {
    part.split = Split::kTrain;
  } else if (name.find("testing") != std::string::npos) {
    part.split = Split::kTest;
  }
  return part;
}

class NorbSource final : public ImportSource {
 public:
  explicit NorbSource(const SourceOptions& options) {
    if (!options.cameras.empty() && options.cameras != "images" && options.cameras != "channels") {
      throw ConfigError("--cameras " + options.cameras +
                        " is not known; give images (two of one channel for each pair) or channels "
                        "(one of two)");
    }
    as_channels_ = options.cameras == "channels";
    for (const std::string& input : options.inputs) add_input(input);
    for (const Split split : kSplits) open_split(split);
    if (listing_.files.empty()) {
      throw MissingInputError(
          "no images were given to import; give a folder or files with --input");
    }
    listing_.recipe = as_channels_ ? "NORB, left and right camera as channels"
                                   : "NORB, left and right camera as images";
  }

  void deliver(const std::function<bool(ImportPlace)>& wanted,
               const std::function<void(RawImage)>& take) override {
    for (const Split split : kSplits) {
      if (listing_.of(split).images > 0) deliver_split(split, wanted, take);
    }
  }

  [[nodiscard]] PlanarImage decode(const RawImage& image) const override {
    const auto& shape = shapes_[static_cast<std::size_t>(image.place.split)];
    return {.channels = as_channels_ ? 2 : 1,
            .height = shape[2],
            .width = shape[3],
            .pixels = image.bytes};
  }

 private:
  Parts& parts_of(Split split) { return parts_[static_cast<std::size_t>(split)]; }

  void add_input(const std::string& input) {
    std::error_code error;
    if (!fs::exists(input, error)) {
      throw MissingInputError("there is no file or folder " + input + "; check the path");
    }
    if (!fs::is_directory(input, error)) {
      if (!add_file(input)) {
        throw ConfigError("it cannot be told from the name of " + input +
                          " what it holds; name files ...-training-dat.mat, ...-training-cat.mat, "
                          "...-testing-dat.mat, ...-testing-cat.mat");
      }
      return;
    }
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(input)) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    if (std::count_if(paths.begin(), paths.end(),
                      [this](const fs::path& path) { return add_file(path); }) == 0) {
      throw MissingInputError("there are no files such as ...-training-dat.mat in " + input +
                              "; check the path");
    }
  }

  /// False where the name does not say what the file holds.
  bool add_file(const fs::path& path) {
    const auto part = part_of(path);
    if (!part || !part->split) return false;
    if (part->kind == Part::Kind::kOther) return true;
    Parts& parts = parts_of(*part->split);
    std::string& known = part->kind == Part::Kind::kImages ? parts.images : parts.labels;
    if (!known.empty()) {
      throw ConfigError("both " + known + " and " + path.string() +
                        " could be the same part of the dataset; name the files to use one by one");
    }
    known = path.string();
    return true;
  }

  void open_split(Split split) {
    const Parts& parts = parts_of(split);
    if (parts.images.empty() && parts.labels.empty()) return;
    if (parts.images.empty()) {
      throw MissingInputError("the images that belong to " + parts.labels +
                              " are missing; give their file too");
    }
    GzipFile images(parts.images);
    const auto shape = read_header(images, kBytes, /*value_bytes=*/1, /*dimensions=*/4);
    shapes_[static_cast<std::size_t>(split)] = shape;
    if (shape[1] != 2) {
      images.refuse("has " + std::to_string(shape[1]) +
                    " views of each object where two cameras are needed; check which file it is");
    }
    if (shape[2] > kMostImageBytes / shape[3] / 2 || shape[0] > kMostImages / 2) {
      images.refuse("announces " + std::to_string(shape[0]) + " pairs of " +
                    std::to_string(shape[2]) + "x" + std::to_string(shape[3]) +
                    " pixels, more than a dataset may have; check which file it is");
    }
    auto& listed = listing_.of(split);
    listed.images = as_channels_ ? shape[0] : 2 * shape[0];
    listing_.files.push_back(parts.images);
    if (parts.labels.empty()) return;

    listing_.files.push_back(parts.labels);
    for (const std::int64_t label : read_labels(parts.labels, shape[0], parts.images)) {
      listed.labels.insert(listed.labels.end(), as_channels_ ? 1 : 2, label);
    }
  }

  static std::vector<std::int64_t> read_labels(const std::string& path, std::int64_t images,
                                               const std::string& images_path) {
    GzipFile file(path);
    const auto shape = read_header(file, kIntegers, /*value_bytes=*/4, /*dimensions=*/1);
    if (shape[0] != images) {
      file.refuse("holds " + std::to_string(shape[0]) + " labels where " + images_path + " has " +
                  std::to_string(images) + " pairs; give the two that belong together");
    }
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(4 * images));
    file.read(bytes);
    file.expect_end();
    std::vector<std::int64_t> labels;
    for (std::size_t i = 0; i < bytes.size(); i += 4) {
      labels.push_back(std::bit_cast<std::int32_t>(little_endian(std::span(bytes).subspan(i, 4))));
    }
    return labels;
  }

  void deliver_split(Split split, const std::function<bool(ImportPlace)>& wanted,
                     const std::function<void(RawImage)>& take) {
    const std::string& path = parts_of(split).images;
    const auto& shape = shapes_[static_cast<std::size_t>(split)];
    GzipFile file(path);
    if (read_header(file, kBytes, 1, 4) != shape) {
      file.refuse("changed while it was read; start again when it is complete");
    }
    const auto view_bytes = static_cast<std::size_t>(shape[2] * shape[3]);
    const std::int64_t images_a_pair = as_channels_ ? 1 : 2;
    std::vector<std::uint8_t> pair(2 * view_bytes);
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      file.read(pair);
      for (std::int64_t j = 0; j < images_a_pair; ++j) {
        const ImportPlace place{split, i * images_a_pair + j};
        if (!wanted(place)) continue;
        const auto bytes = as_channels_ ? std::span(pair)
                                        : std::span(pair).subspan(
                                              static_cast<std::size_t>(j) * view_bytes, view_bytes);
        take({.place = place,
              .name = path + ", pair " + std::to_string(i) +
                      (as_channels_ ? ""
                       : j == 0     ? ", left"
                                    : ", right"),
              .bytes = {bytes.begin(), bytes.end()}});
      }
    }
    file.expect_end();
  }

  bool as_channels_ = false;
  std::array<Parts, kSplits.size()> parts_;
  std::array<std::vector<std::int64_t>, kSplits.size()> shapes_;  ///< [N, 2, H, W] by Split.
};

}  // namespace

std::unique_ptr<ImportSource> open_norb(const SourceOptions& options) {
  return std::make_unique<NorbSource>(options);
}

}  // namespace gondola
