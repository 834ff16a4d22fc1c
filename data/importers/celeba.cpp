#include "data/importers/celeba.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

#include "configs/errors.hpp"
#include "data/images/decode.hpp"
#include "data/importers/archive_source.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kWidth = 178, kHeight = 218;  // of an aligned face
constexpr const char* kPartition = "list_eval_partition.txt";

/// torchvision's CenterCrop rounds halves to even.
std::int64_t centred(std::int64_t length, std::int64_t part) {
  return std::llrint(static_cast<double>(length - part) / 2.0);
}

/// The list names the faces .jpg, also for those that are published as .png.
std::string_view without_ending(std::string_view name) { return name.substr(0, name.rfind('.')); }

class CelebaSource final : public ArchiveSource {
 public:
  explicit CelebaSource(const SourceOptions& options)
      : ArchiveSource(options.inputs), crop_(options.face_crop == 0 ? 148 : options.face_crop) {
    if (crop_ != 140 && crop_ != 148 && crop_ != 178) {
      throw ConfigError("--face-crop " + std::to_string(crop_) +
                        " is not possible; give 140, 148 or 178");
    }
    for (const auto& archive : archives()) {
      archive->require_no_link([](std::string_view name) {
        return is_image_name(name) || base_name(name) == kPartition;
      });
    }
    read_partition();
    for (std::size_t i = 0; i < archives().size(); ++i) {
      const auto& names = archives()[i]->names();
      for (std::size_t member = 0; member < names.size(); ++member) {
        if (is_image_name(names[member])) add_face(i, member);
      }
    }
    require_images("faces (.jpg, .png)");
    listing_.recipe = "CelebA, centred square of " + std::to_string(crop_) +
                      (crop_ == kWidth ? "" : " of 178") + " pixels";
    if (!partition_.empty()) listing_.recipe += ", by partition list, without validation";
  }

  [[nodiscard]] PlanarImage decode(const RawImage& raw) const override {
    return decode_image(raw.bytes, raw.name, [&](std::int64_t height, std::int64_t width) {
      const bool whole = width == kWidth && height == kHeight;
      if (!whole && (width != kWidth / 2 || height != kHeight / 2)) {
        throw DataError(raw.name + " is " + std::to_string(width) + " pixels wide and " +
                        std::to_string(height) +
                        " high, where aligned faces are 178 by 218 (or 89 by 109); import other "
                        "pictures with gondola import images");
      }
      const std::int64_t side = whole ? crop_ : crop_ / 2;
      return Window{.top = centred(height, side),
                    .left = centred(width, side),
                    .height = side,
                    .width = side};
    });
  }

 private:
  void read_partition() {
    for (const auto& archive : archives()) {
      const auto& names = archive->names();
      for (std::size_t member = 0; member < names.size(); ++member) {
        if (base_name(names[member]) == kPartition) {
          parse_partition(archive->describe(member), archive->read_one(member));
        }
      }
    }
  }

  /// Lines of a file's name and 0, 1 or 2.
  void parse_partition(const std::string& where, const std::vector<std::uint8_t>& bytes) {
    std::istringstream lines(std::string(bytes.begin(), bytes.end()));
    std::string line;
    for (std::int64_t number = 1; std::getline(lines, line); ++number) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      std::istringstream words(line);
      std::string name, rest;
      int part = -1;
      if (!(words >> name >> part) || part < 0 || part > 2 || (words >> rest)) {
        throw DataError(where + " has a line " + std::to_string(number) +
                        " that is no file name followed by 0, 1 or 2: '" + line.substr(0, 60) +
                        "'; download it again");
      }
      partition_[std::string(without_ending(name))] = part;
    }
  }

  void add_face(std::size_t archive, std::size_t member) {
    Split split = Split::kTrain;
    if (!partition_.empty()) {
      const auto found =
          partition_.find(without_ending(base_name(archives()[archive]->names()[member])));
      if (found == partition_.end()) {
        throw DataError(archives()[archive]->describe(member) + " is not in the partition list (" +
                        std::to_string(partition_.size()) +
                        " names); give the list that belongs to these faces, or none");
      }
      if (found->second == 1) return;
      split = found->second == 0 ? Split::kTrain : Split::kTest;
    }
    add(archive, member, split, std::nullopt);
  }

  std::int64_t crop_;
  std::map<std::string, int, std::less<>> partition_;  ///< By the name without its ending.
};

}  // namespace

std::unique_ptr<ImportSource> open_celeba(const SourceOptions& options) {
  return std::make_unique<CelebaSource>(options);
}

}  // namespace gondola
