#include "data/importers/hdf5.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "configs/errors.hpp"
#include "data/foreign_file.hpp"
#include "data/foreign_images.hpp"
#include "data/helper_process.hpp"

namespace gondola {
namespace {

constexpr std::array kSplits = {Split::kTrain, Split::kTest};

struct BlockRequest {
  Split split = Split::kTrain;
  std::int64_t first = 0, count = 0;
};

/// The file as the helper process has it open.
class OpenFile {
 public:
  OpenFile(const std::string& path, const std::string& dataset) : file_(hdf5::open_file(path)) {
    const auto datasets = dataset.empty() ? find_foreign_images(file_.get())
                                          : std::array<std::string, 2>{dataset, ""};
    for (const Split split : kSplits) {
      const auto i = static_cast<std::size_t>(split);
      if (datasets[i].empty()) continue;
      paths_[i] = (datasets[i].starts_with("/") ? "" : "/") + datasets[i];
      splits_[i].emplace(file_.get(), datasets[i]);
      labels_[i] = read_foreign_labels(file_.get(), datasets[i], splits_[i]->layout().images);
    }
  }

  /// Sends what is known of the splits, then blocks of images as they are asked for.
  void serve(ProcessLink& link) {
    HelperProcess::begin_answer(link);
    for (const Split which : kSplits) {
      auto& split = splits_[static_cast<std::size_t>(which)];
      link.put(split.has_value());
      if (!split) continue;
      link.put(split->layout());
      link.put_list(paths_[static_cast<std::size_t>(which)]);
      link.put_list(split->name());
      link.put_list(split->shape());
      link.put_list(labels_[static_cast<std::size_t>(which)]);
    }
    std::vector<std::uint8_t> block;
    while (true) {
      const auto request = link.get<BlockRequest>();
      splits_[static_cast<std::size_t>(request.split)]->read_stored(request.first, request.count,
                                                                    block);
      HelperProcess::begin_answer(link);
      link.put_list(block);
    }
  }

 private:
  hdf5::Handle file_;
  std::array<std::string, kSplits.size()> paths_;  ///< Of the datasets in the file.
  std::array<std::optional<ForeignImages>, kSplits.size()> splits_;
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
    const ForeignLayout& layout = *layouts_[static_cast<std::size_t>(image.place.split)];
    PlanarImage made{.channels = layout.channels, .height = layout.height, .width = layout.width};
    made.pixels.resize(static_cast<std::size_t>(layout.image_values()));
    foreign_to_bytes(layout, image.bytes, image.name, made.pixels);
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
    layouts_[i] = link.get<ForeignLayout>();
    const auto path = link.get_list<std::string>();
    names_[i] = link.get_list<std::string>();
    const auto shape = link.get_list<std::vector<std::int64_t>>();
    auto& listed = listing_.of(which);
    listed.images = layouts_[i]->images;
    listed.labels = link.get_list<std::vector<std::int64_t>>();
    listing_.recipe +=
        std::string(", ") + split_name(which) + " " + path + " " + foreign_shape_text(shape);
    if (layouts_[i]->up_to_one) listing_.recipe += " times 255";
  }

  void deliver_split(Split which, const std::function<bool(ImportPlace)>& wanted,
                     const std::function<void(RawImage)>& take) {
    const ForeignLayout& layout = *layouts_[static_cast<std::size_t>(which)];
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
      if (static_cast<std::int64_t>(block.size()) != count * layout.stored_bytes()) {
        throw DataError(name + " is damaged: image " + std::to_string(first) +
                        " has another size than announced; copy or make it again");
      }
      for (const std::int64_t i : needed) {
        const auto begin = block.begin() + i * layout.stored_bytes();
        take({.place = {which, first + i},
              .name = name + ", image " + std::to_string(first + i),
              .bytes = {begin, begin + layout.stored_bytes()}});
      }
    }
  }

  std::string path_;
  HelperProcess helper_;
  std::array<std::optional<ForeignLayout>, kSplits.size()> layouts_;
  std::array<std::string, kSplits.size()> names_;  ///< For messages: dataset and file.
};

}  // namespace

std::unique_ptr<ImportSource> open_hdf5(const SourceOptions& options) {
  return std::make_unique<Hdf5Source>(options);
}

}  // namespace gondola
