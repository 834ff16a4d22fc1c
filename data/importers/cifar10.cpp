#include "data/importers/cifar10.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "configs/errors.hpp"
#include "data/archives/natural_order.hpp"
#include "data/archives/packed_file.hpp"
#include "data/importers/archive_source.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kPixels = 3 * 32 * 32;
constexpr std::int64_t kRecordBytes = 1 + kPixels;
constexpr std::int64_t kMostBatchBytes = std::int64_t{1} << 30;  // published: 30,730,000

std::string_view without_ending(std::string_view name, std::string_view ending) {
  return name.ends_with(ending) ? name.substr(0, name.size() - ending.size()) : name;
}

bool is_packed(std::string_view name) { return name.ends_with(".xz") || name.ends_with(".gz"); }

/// data_batch_<n> or test_batch, from a path; nothing where the file is no batch.
std::optional<std::string> batch_name(std::string_view path) {
  auto name = base_name(path);
  name = without_ending(without_ending(name, ".xz"), ".gz");
  name = without_ending(name, ".bin");
  const bool train = name.starts_with("data_batch_") &&
                     name.find_first_not_of("0123456789", 11) == std::string_view::npos;
  if (!train && name != "test_batch") return std::nullopt;
  return std::string(name);
}

class Cifar10Source final : public ImportSource {
 public:
  explicit Cifar10Source(const SourceOptions& options) {
    for (const std::string& input : options.inputs) add_input(input);
    if (batches_.empty()) {
      throw MissingInputError(
          options.inputs.empty()
              ? "no images were given to import; give a folder or files with --input"
              : "no batches such as data_batch_1.bin were found in " + options.inputs.front() +
                    "; check the path, and that it is the binary version");
    }
    std::stable_sort(batches_.begin(), batches_.end(),
                     [](const Batch& a, const Batch& b) { return natural_less(a.name, b.name); });
    for (const Batch& batch : batches_) list(batch);
    listing_.recipe = "CIFAR-10";
  }

  void deliver(const std::function<bool(ImportPlace)>& wanted,
               const std::function<void(RawImage)>& take) override {
    std::int64_t next[2] = {};
    for (const Batch& batch : batches_) {
      const std::int64_t images = static_cast<std::int64_t>(batch.bytes.size()) / kRecordBytes;
      for (std::int64_t i = 0; i < images; ++i) {
        const ImportPlace place{split_of(batch), next[static_cast<int>(split_of(batch))]++};
        if (!wanted(place)) continue;
        const auto* pixels = batch.bytes.data() + i * kRecordBytes + 1;
        take({.place = place,
              .name = batch.path + ", image " + std::to_string(i),
              .bytes = {pixels, pixels + kPixels}});
      }
    }
  }

  [[nodiscard]] PlanarImage decode(const RawImage& image) const override {
    return {.channels = 3, .height = 32, .width = 32, .pixels = image.bytes};
  }

 private:
  struct Batch {
    std::string name;  ///< data_batch_1, ...
    std::string path;
    bool packed = false;
    std::vector<std::uint8_t> bytes;
  };

  static Split split_of(const Batch& batch) {
    return batch.name == "test_batch" ? Split::kTest : Split::kTrain;
  }

  void add_input(const std::string& input) {
    const auto archive = Archive::open(input);
    archive->require_no_link([](std::string_view name) { return batch_name(name).has_value(); });
    const bool plain = archive->members_are_files();
    archive->read(
        [&](std::size_t member) { return batch_name(archive->names()[member]).has_value(); },
        [&](std::size_t member, std::vector<std::uint8_t> bytes) {
          const std::string& name = archive->names()[member];
          const std::string path = archive->describe(member);
          if (is_packed(name) && plain) bytes = read_packed_file(path, kMostBatchBytes);
          add_batch({.name = batch_name(name).value(),
                     .path = path,
                     .packed = is_packed(name),
                     .bytes = std::move(bytes)},
                    plain ? path : input);
        });
  }

  /// Of the same batch packed and not, the unpacked one is used.
  void add_batch(Batch batch, const std::string& file) {
    const auto same = std::find_if(batches_.begin(), batches_.end(),
                                   [&](const Batch& other) { return other.name == batch.name; });
    if (same == batches_.end()) {
      if (std::find(listing_.files.begin(), listing_.files.end(), file) == listing_.files.end()) {
        listing_.files.push_back(file);
      }
      batches_.push_back(std::move(batch));
    } else if (same->packed == batch.packed) {
      throw ConfigError("both " + same->path + " and " + batch.path + " hold " + batch.name +
                        "; name the files to use one by one");
    } else if (same->packed) {
      std::replace(listing_.files.begin(), listing_.files.end(), same->path, file);
      *same = std::move(batch);
    }
  }

  void list(const Batch& batch) {
    const auto bytes = static_cast<std::int64_t>(batch.bytes.size());
    if (bytes == 0 || bytes % kRecordBytes != 0) {
      throw DataError(batch.path + " has " + std::to_string(bytes) +
                      " bytes, not a whole number of records of " + std::to_string(kRecordBytes) +
                      ": it is truncated or no batch of CIFAR-10; download it again");
    }
    auto& split = listing_.of(split_of(batch));
    for (std::int64_t i = 0; i < bytes / kRecordBytes; ++i) {
      const auto label = batch.bytes[static_cast<std::size_t>(i * kRecordBytes)];
      if (label > 9) {
        throw DataError(batch.path + ", image " + std::to_string(i) + " has the label " +
                        std::to_string(label) + " where 0 to 9 are possible; download it again");
      }
      split.labels.push_back(label);
      ++split.images;
    }
  }

  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<ImportSource> open_cifar10(const SourceOptions& options) {
  return std::make_unique<Cifar10Source>(options);
}

}  // namespace gondola
