#include "data/importers/lsun.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "configs/errors.hpp"
#include "data/images/decode.hpp"
#include "data/importers/lmdb_file.hpp"

namespace gondola {
namespace {

Split split_of(const LmdbFile& file) {
  const std::string folder = std::filesystem::path(file.path()).parent_path().filename().string();
  const bool held_out =
      folder.find("_val") != std::string::npos || folder.find("_test") != std::string::npos;
  return held_out ? Split::kTest : Split::kTrain;
}

class LsunSource final : public ImportSource {
 public:
  explicit LsunSource(const SourceOptions& options) {
    if (options.inputs.empty()) {
      throw MissingInputError("no images were given to import; give LMDB folders with --input");
    }
    for (const std::string& input : options.inputs) {
      const LmdbFile& file = files_.emplace_back(input);
      auto& split = listing_.of(split_of(file));
      first_.push_back(split.images);
      split.images += file.values();
      listing_.files.push_back(file.path());
    }
    listing_.recipe = "LSUN";
  }

  /// In the order of the file: an LMDB may lie in it in any order.
  void deliver(const std::function<bool(ImportPlace)>& wanted,
               const std::function<void(RawImage)>& take) override {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      const LmdbFile& file = files_[i];
      std::vector<std::pair<std::int64_t, std::int64_t>> order;  // by offset
      for (std::int64_t index = 0; index < file.values(); ++index) {
        if (wanted({split_of(file), first_[i] + index})) {
          order.emplace_back(file.offset_bytes(index), index);
        }
      }
      std::sort(order.begin(), order.end());
      for (const auto& [offset, index] : order) {
        take({.place = {split_of(file), first_[i] + index},
              .name = file.path() + ", image " + std::to_string(index),
              .bytes = file.read_value(index)});
      }
    }
  }

  [[nodiscard]] PlanarImage decode(const RawImage& image) const override {
    return decode_image(image.bytes, image.name);
  }

 private:
  std::vector<LmdbFile> files_;
  std::vector<std::int64_t> first_;  ///< Place of each file's first image in its split.
};

}  // namespace

std::unique_ptr<ImportSource> open_lsun(const SourceOptions& options) {
  return std::make_unique<LsunSource>(options);
}

}  // namespace gondola
