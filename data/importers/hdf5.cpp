#include "data/importers/hdf5.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "configs/errors.hpp"
#include "data/hdf5_handle.hpp"
#include "data/helper_process.hpp"

namespace gondola {
namespace {

constexpr std::array kSplits = {Split::kTrain, Split::kTest};

bool is_number(H5T_class_t type) { return type == H5T_INTEGER || type == H5T_FLOAT; }

/// Whether a dataset has numbers in 3 or 4 dimensions.
bool could_be_images(hid_t dataset) {
  const hdf5::Handle type(H5Dget_type(dataset), H5Tclose);
  const hdf5::Handle space(H5Dget_space(dataset), H5Sclose);
  const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  return type && is_number(H5Tget_class(type.get())) && (rank == 3 || rank == 4);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    text += (text.empty() ? "" : "x") + std::to_string(size);
  }
  return text.empty() ? "no dimensions" : text;
}

/// Paths of the datasets of numbers with 3 or 4 dimensions below a group of this file.
class ImageFinder {
 public:
  void look_into(hid_t group, const std::string& path, int depth = 0) {
    constexpr int kMostDepth = 8;
    constexpr int kMostObjects = 10000;
    if (depth > kMostDepth) return;
    for (const std::string& name : hdf5::link_names(group)) {
      H5L_info_t link{};
      if (++objects_ > kMostObjects) return;
      if (H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD) {
        continue;
      }
      const hdf5::Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
      const H5I_type_t type = object ? H5Iget_type(object.get()) : H5I_BADID;
      if (type == H5I_GROUP) look_into(object.get(), path + "/" + name, depth + 1);
      if (type != H5I_DATASET) continue;
      if (could_be_images(object.get())) found.push_back(path + "/" + name);
    }
  }

  std::vector<std::string> found;

 private:
  int objects_ = 0;
};

/// How the values of a dataset are read into memory.
enum class Kind { kBytes, kFloats, kDoubles, kWholeDoubles };

hid_t memory_type(Kind kind) {
  switch (kind) {
    case Kind::kBytes:
      return H5T_NATIVE_UINT8;
    case Kind::kFloats:
      return H5T_NATIVE_FLOAT;
    default:
      return H5T_NATIVE_DOUBLE;
  }
}

std::int64_t value_bytes(Kind kind) {
  return kind == Kind::kBytes ? 1 : kind == Kind::kFloats ? 4 : 8;
}

Kind kind_of(const hdf5::DatasetInfo& info) {
  if (info.type_class == H5T_INTEGER) {
    return info.type_bytes == 1 && !info.is_signed ? Kind::kBytes : Kind::kWholeDoubles;
  }
  return info.type_bytes <= sizeof(float) ? Kind::kFloats : Kind::kDoubles;
}

/// How the images of one split lie.
struct Layout {
  Kind kind = Kind::kBytes;
  bool channels_last = false;
  bool up_to_one = false;  ///< Fractions in [0, 1].
  std::int64_t images = 0, channels = 1, height = 0, width = 0;
  std::int64_t images_at_once = 1;  ///< To be read.

  [[nodiscard]] std::int64_t image_values() const { return channels * height * width; }
  [[nodiscard]] std::int64_t image_bytes() const { return image_values() * value_bytes(kind); }
};

/// The images of one split.
struct OpenSplit : Layout {
  std::string name;  ///< For messages: dataset and file.
  hdf5::Handle dataset;
  std::vector<std::int64_t> shape;
};

struct BlockRequest {
  Split split = Split::kTrain;
  std::int64_t first = 0, count = 0;
};

[[noreturn]] void refuse(const OpenSplit& split, const std::string& problem) {
  throw DataError(split.name + " " + problem);
}

/// Names the sizes. @throws DataError
void read_shape(OpenSplit& split) {
  const auto& shape = split.shape;
  if (shape.size() != 3 && shape.size() != 4) {
    refuse(split, "has the shape " + shape_text(shape) +
                      " where images have 3 dimensions or 4; name another with --dataset");
  }
  const auto few = [](std::int64_t size) { return size == 1 || size == 3; };
  split.channels_last = shape.size() == 4 && few(shape[3]) && !few(shape[1]);
  split.images = shape[0];
  const std::size_t first = shape.size() == 3 || split.channels_last ? 1 : 2;
  split.height = shape[first];
  split.width = shape[first + 1];
  split.channels = shape.size() == 3 ? 1 : shape[split.channels_last ? 3 : 1];
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    refuse(split, "is empty: its shape is " + shape_text(shape) + "; give a file that has images");
  }
  if (split.height > kMostImageBytes || split.width > kMostImageBytes / split.height ||
      split.channels > kMostImageBytes / (split.height * split.width) || shape[0] > kMostImages) {
    refuse(split, "announces " + shape_text(shape) +
                      " values, more than a dataset may have; check which file it is");
  }
}

/// Chooses how many images are read at once: whole chunks, so that each is unpacked once.
void choose_block(OpenSplit& split) {
  constexpr std::int64_t kBlockBytes = 1 << 24, kMostBlockBytes = 1 << 29;
  split.images_at_once = std::max<std::int64_t>(1, kBlockBytes / split.image_bytes());
  const hdf5::Handle creation(H5Dget_create_plist(split.dataset.get()), H5Pclose);
  if (creation && H5Pget_layout(creation.get()) == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(split.shape.size());
    H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data());
    std::int64_t chunk_bytes = 8;
    for (const hsize_t size : chunk) {
      if (size == 0 || size > static_cast<hsize_t>(kMostBlockBytes) ||
          chunk_bytes > kMostBlockBytes * 8 / static_cast<std::int64_t>(size)) {
        refuse(split,
               "is stored in chunks that are too large to be read; repack it with h5repack "
               "-l CHUNK=...");
      }
      chunk_bytes *= static_cast<std::int64_t>(size);
    }
    const auto chunk_images = static_cast<std::int64_t>(chunk[0]);
    if (chunk_images <= kMostBlockBytes / split.image_bytes()) {
      split.images_at_once =
          std::max<std::int64_t>(1, split.images_at_once / chunk_images) * chunk_images;
    }
  }
  split.images_at_once = std::min(split.images_at_once, split.shape[0]);
}

/// Images first..first+count-1 as they are stored.
void read_images(const OpenSplit& split, std::int64_t first, std::int64_t count,
                 std::vector<std::uint8_t>& out) {
  hdf5::silence_errors();
  out.resize(static_cast<std::size_t>(count * split.image_bytes()));
  std::vector<hsize_t> begin(split.shape.size(), 0), size(split.shape.begin(), split.shape.end());
  begin[0] = static_cast<hsize_t>(first);
  size[0] = static_cast<hsize_t>(count);
  const hdf5::Handle file_space(H5Dget_space(split.dataset.get()), H5Sclose);
  const hdf5::Handle memory_space(
      H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose);
  if (!file_space || !memory_space ||
      H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, begin.data(), nullptr, size.data(),
                          nullptr) < 0 ||
      H5Dread(split.dataset.get(), memory_type(split.kind), memory_space.get(), file_space.get(),
              H5P_DEFAULT, out.data()) < 0) {
    const std::string reason = hdf5::last_error();
    refuse(split, "cannot be read at images " + std::to_string(first) + " to " +
                      std::to_string(first + count - 1) + (reason.empty() ? "" : ": " + reason) +
                      "; the file is damaged: copy or make it again");
  }
}

/// Value i of an image as it is stored.
double value_at(Kind kind, std::span<const std::uint8_t> bytes, std::size_t i) {
  if (kind == Kind::kBytes) return bytes[i];
  if (kind == Kind::kFloats) {
    float value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
    return static_cast<double>(value);
  }
  double value = 0;
  std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
  return value;
}

/// Whether fractions are in [0, 1]: none of the first GiB is above.
bool is_up_to_one(const OpenSplit& split) {
  constexpr std::int64_t kMostBytes = 1 << 30;
  std::vector<std::uint8_t> block;
  std::int64_t bytes = 0;
  for (std::int64_t first = 0; first < split.shape[0] && bytes < kMostBytes;
       first += split.images_at_once) {
    read_images(split, first, std::min(split.images_at_once, split.shape[0] - first), block);
    const auto values = block.size() / static_cast<std::size_t>(value_bytes(split.kind));
    for (std::size_t i = 0; i < values; ++i) {
      if (value_at(split.kind, block, i) > 1.0) return false;
    }
    bytes += static_cast<std::int64_t>(block.size());
  }
  return true;
}

/// [N] from labels or label in the group of the images; empty where there are none.
std::vector<std::int64_t> read_labels(hid_t file, const std::string& images, std::int64_t count) {
  const auto slash = images.rfind('/');
  const std::string group = slash == std::string::npos ? "" : images.substr(0, slash + 1);
  for (const char* name : {"labels", "label"}) {
    const std::string path = group + name;
    if (path == images || !hdf5::has_link(file, path)) continue;
    const auto dataset = hdf5::open_dataset(file, path);
    const auto info = hdf5::describe_dataset(dataset.get(), path);
    const bool one_each = info.shape.size() == 1 || (info.shape.size() == 2 && info.shape[1] == 1);
    if (info.type_class != H5T_INTEGER || !one_each) continue;
    if (info.values != count) {
      throw DataError("dataset " + path + " of " + hdf5::file_name(file) + " holds " +
                      std::to_string(info.values) + " labels where " + images + " has " +
                      std::to_string(count) + " images; take one of them away");
    }
    std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
    if (H5Dread(dataset.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, labels.data()) <
        0) {
      throw DataError("dataset " + path + " of " + hdf5::file_name(file) +
                      " cannot be read; the file is damaged: copy or make it again");
    }
    return labels;
  }
  return {};
}

/// The file as the helper process has it open.
class OpenFile {
 public:
  OpenFile(const std::string& path, const std::string& dataset)
      : path_(path), file_(hdf5::open_file(path)) {
    const auto datasets = choose(dataset);
    for (const Split split : kSplits) {
      const std::string& chosen = datasets[static_cast<std::size_t>(split)];
      if (!chosen.empty()) open_split(split, chosen);
    }
  }

  /// Sends what is known of the splits, then blocks of images as they are asked for.
  void serve(ProcessLink& link) const {
    HelperProcess::begin_answer(link);
    for (const Split which : kSplits) {
      const auto& split = splits_[static_cast<std::size_t>(which)];
      link.put(split.has_value());
      if (!split) continue;
      link.put(static_cast<const Layout&>(*split));
      link.put_list(split->name);
      link.put_list(split->shape);
      link.put_list(labels_[static_cast<std::size_t>(which)]);
    }
    std::vector<std::uint8_t> block;
    while (true) {
      const auto request = link.get<BlockRequest>();
      read_images(*splits_[static_cast<std::size_t>(request.split)], request.first, request.count,
                  block);
      HelperProcess::begin_answer(link);
      link.put_list(block);
    }
  }

 private:
  /// The paths of the datasets, by Split.
  [[nodiscard]] std::array<std::string, 2> choose(const std::string& wanted) const {
    if (!wanted.empty()) return {wanted, ""};
    std::array<std::string, 2> both;
    for (const Split split : kSplits) {
      const std::string group = split_name(split);
      if (hdf5::has_link(file_.get(), group) && hdf5::has_link(file_.get(), group + "/images")) {
        both[static_cast<std::size_t>(split)] = group + "/images";
      }
    }
    if (!both[0].empty() || !both[1].empty()) return both;

    ImageFinder finder;
    finder.look_into(hdf5::open_group(file_.get(), "/").get(), "");
    if (finder.found.empty()) {
      throw DataError(path_ + " has no dataset of 3 or 4 dimensions; check which file it is");
    }
    if (finder.found.size() > 1) {
      std::string names;
      constexpr std::size_t kMostNames = 8;
      for (std::size_t i = 0; i < std::min(finder.found.size(), kMostNames); ++i) {
        names += (i == 0 ? "" : ", ") + finder.found[i];
      }
      throw ConfigError(path_ + " has several datasets that could be images (" + names +
                        (finder.found.size() > kMostNames ? ", ..." : "") +
                        "); name one with --dataset");
    }
    return {finder.found.front(), ""};
  }

  void open_split(Split which, const std::string& path) {
    OpenSplit split;
    split.name = "dataset " + path + " of " + path_;
    split.dataset = hdf5::open_dataset(file_.get(), path);
    const auto info = hdf5::describe_dataset(split.dataset.get(), path);
    if (!is_number(info.type_class)) {
      refuse(split, "does not hold numbers; name another with --dataset");
    }
    split.kind = kind_of(info);
    split.shape = info.shape;
    read_shape(split);
    choose_block(split);
    split.up_to_one = info.type_class == H5T_FLOAT && is_up_to_one(split);
    labels_[static_cast<std::size_t>(which)] = read_labels(file_.get(), path, split.images);
    splits_[static_cast<std::size_t>(which)] = std::move(split);
  }

  std::string path_;
  hdf5::Handle file_;
  std::array<std::optional<OpenSplit>, kSplits.size()> splits_;
  std::array<std::vector<std::int64_t>, kSplits.size()> labels_;
};

class Hdf5Source final : public ImportSource {
 public:
  /// HDF5 trusts much of what it reads and crashes on some damaged files, older ones above all,
  /// whose metadata has no checksums. So another process reads.
  explicit Hdf5Source(const SourceOptions& options)
      : path_(only_input(options)), helper_([this, &options](ProcessLink& link) {
          OpenFile(path_, options.dataset).serve(link);
        }) {
    listing_.files = {path_};
    listing_.recipe = "HDF5";
    helper_.answer(
        path_, [](ProcessLink&) {},
        [this](ProcessLink& link) {
          for (const Split split : kSplits) {
            if (link.get<bool>()) receive_split(split, link);
          }
        });
  }

  void deliver(const std::function<bool(ImportPlace)>& wanted,
               const std::function<void(RawImage)>& take) override {
    for (const Split split : kSplits) {
      if (layouts_[static_cast<std::size_t>(split)]) deliver_split(split, wanted, take);
    }
  }

  [[nodiscard]] PlanarImage decode(const RawImage& image) const override {
    const Layout& split = *layouts_[static_cast<std::size_t>(image.place.split)];
    PlanarImage made{.channels = split.channels, .height = split.height, .width = split.width};
    const auto values = static_cast<std::size_t>(split.image_values());
    made.pixels.resize(values);
    const double most = split.up_to_one ? 1.0 : 255.0, scale = split.up_to_one ? 255.0 : 1.0;
    const auto channels = static_cast<std::size_t>(split.channels);
    const std::size_t plane = values / channels;
    for (std::size_t i = 0; i < values; ++i) {
      const double value = value_at(split.kind, image.bytes, i);
      if (!(value >= 0.0 && value <= most)) {
        throw DataError(image.name + " has the value " + std::to_string(value) + " at place " +
                        std::to_string(i) + " where 0 to " + (split.up_to_one ? "1" : "255") +
                        " are possible; bring the values into that range");
      }
      const std::size_t to = split.channels_last ? i % channels * plane + i / channels : i;
      made.pixels[to] = static_cast<std::uint8_t>(value * scale + 0.5);
    }
    return made;
  }

 private:
  static const std::string& only_input(const SourceOptions& options) {
    if (options.inputs.size() != 1) {
      throw MissingInputError("one HDF5 file is imported at a time, but " +
                              std::to_string(options.inputs.size()) +
                              " were given; give one with --input");
    }
    return options.inputs.front();
  }

  void receive_split(Split which, ProcessLink& link) {
    const auto i = static_cast<std::size_t>(which);
    layouts_[i] = link.get<Layout>();
    names_[i] = link.get_list<std::string>();
    const auto shape = link.get_list<std::vector<std::int64_t>>();
    auto& listed = listing_.of(which);
    listed.images = layouts_[i]->images;
    listed.labels = link.get_list<std::vector<std::int64_t>>();
    listing_.recipe += std::string(", ") + split_name(which) + " " + shape_text(shape);
    if (layouts_[i]->up_to_one) listing_.recipe += " times 255";
  }

  void deliver_split(Split which, const std::function<bool(ImportPlace)>& wanted,
                     const std::function<void(RawImage)>& take) {
    const Layout& layout = *layouts_[static_cast<std::size_t>(which)];
    const std::string& name = names_[static_cast<std::size_t>(which)];
    std::vector<std::uint8_t> block;
    for (std::int64_t first = 0; first < layout.images; first += layout.images_at_once) {
      const std::int64_t count = std::min(layout.images_at_once, layout.images - first);
      std::vector<std::int64_t> needed;
      for (std::int64_t i = 0; i < count; ++i) {
        if (wanted({which, first + i})) needed.push_back(i);
      }
      if (needed.empty()) continue;
      helper_.answer(
          name,
          [&](ProcessLink& link) {
            link.put(BlockRequest{which, first, count});
          },
          [&](ProcessLink& link) { block = link.get_list<std::vector<std::uint8_t>>(); });
      if (static_cast<std::int64_t>(block.size()) != count * layout.image_bytes()) {
        throw DataError(name + " is damaged: image " + std::to_string(first) +
                        " has another size than announced; copy or make it again");
      }
      for (const std::int64_t i : needed) {
        const auto begin = block.begin() + i * layout.image_bytes();
        take({.place = {which, first + i},
              .name = name + ", image " + std::to_string(first + i),
              .bytes = {begin, begin + layout.image_bytes()}});
      }
    }
  }

  std::string path_;
  HelperProcess helper_;
  std::array<std::optional<Layout>, kSplits.size()> layouts_;
  std::array<std::string, kSplits.size()> names_;  ///< For messages: dataset and file.
};

}  // namespace

std::unique_ptr<ImportSource> open_hdf5(const SourceOptions& options) {
  return std::make_unique<Hdf5Source>(options);
}

}  // namespace gondola
