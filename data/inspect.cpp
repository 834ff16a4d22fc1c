#include "data/inspect.hpp"

#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <ostream>
#include <string_view>

#include "configs/errors.hpp"
#include "data/checksum.hpp"
#include "data/foreign_scan.hpp"
#include "data/image_blocks.hpp"
#include "data/images/contact_sheet.hpp"
#include "data/images/png.hpp"

namespace gondola {
namespace {

std::string images_checksum(const DatasetFile& file, Split split) {
  constexpr std::int64_t kBlockBytes = 1 << 24;
  Xxh3 sum;
  for_each_block(file, split, kBlockBytes, [&](std::int64_t, std::span<const std::uint8_t> block) {
    sum.update(block.data(), block.size());
  });
  return sum.hex();
}

template <typename T>
std::string checksum_of(const std::vector<T>& values) {
  Xxh3 sum;
  sum.update(values.data(), values.size() * sizeof(T));
  return sum.hex();
}

void add_checksums(const DatasetFile& file, Split split, Checksums checksums,
                   std::vector<ChecksumSummary>& out) {
  const SplitInfo& info = *file.split(split);
  const std::string prefix = std::string("/") + split_name(split) + "/";
  const bool verify = checksums == Checksums::kVerify;
  out.push_back(
      {prefix + "images", info.images_checksum, verify ? images_checksum(file, split) : ""});
  out.push_back({prefix + "mean_image", info.mean_image_checksum,
                 verify ? checksum_of(info.mean_image) : ""});
  if (info.has_labels) {
    out.push_back({prefix + "labels", info.labels_checksum,
                   verify ? checksum_of(file.read_labels(split)) : ""});
  }
}

void print_numbers(std::ostream& out, std::string_view title, const std::vector<double>& values) {
  out << std::left << std::setw(12) << title << std::fixed << std::setprecision(4);
  for (const double value : values) {
    out << ' ' << value;
  }
  out << '\n';
}

}  // namespace

DatasetSummary inspect_dataset(const std::string& path, Checksums checksums) {
  const bool verify = checksums == Checksums::kVerify;
  rehearse_reading(path, Reading::kSizes);
  const DatasetFile file(path);
  if (verify && !file.header().native) {
    throw ConfigError(path +
                      " was not made by gondola import and stores no checksums to verify; leave "
                      "--verify out, or make a file that has them with gondola import hdf5");
  }
  if (verify) rehearse_reading(path, Reading::kImages);
  DatasetSummary summary;
  summary.path = path;
  summary.file_bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
  summary.header = file.header();
  for (const Split split : {Split::kTrain, Split::kTest}) {
    if (const SplitInfo* info = file.split(split)) {
      summary.splits.push_back({split, *info});
      if (summary.header.native) {
        add_checksums(file, split, checksums, summary.checksums);
      }
    }
  }
  return summary;
}

PixelStatistics inspect_pixels(const std::string& path) {
  rehearse_reading(path, Reading::kImages);
  return count_pixels(DatasetFile(path));
}

void print_summary(const DatasetSummary& summary, std::ostream& out) {
  const DatasetHeader& header = summary.header;
  const auto row = [&out](std::string_view title) -> std::ostream& {
    return out << std::left << std::setw(12) << title << ' ';
  };
  row("file") << summary.path << " (" << summary.file_bytes << " bytes)\n";
  if (header.native) {
    row("name") << header.name << '\n';
    row("format") << kDatasetFormat << " version " << kDatasetFormatVersion << '\n';
    row("recipe") << header.recipe << '\n';
  } else {
    row("format") << "foreign: no checksums, no mean image of our own\n";
  }
  for (const auto& [split, info] : summary.splits) {
    row(split_name(split)) << info.images << " images of " << info.channels << "x" << info.height
                           << "x" << info.width << (info.has_labels ? ", labels" : ", no labels")
                           << (info.contiguous ? ", contiguous" : ", chunked or packed (slow)")
                           << '\n';
  }
  if (header.native) {
    print_numbers(out, "mean", header.channel_mean);
    print_numbers(out, "stddev", header.channel_stddev);
  }
  for (const SourceFile& source : header.sources) {
    row("source") << source.name << "  sha256 " << source.sha256 << '\n';
  }
  for (const ChecksumSummary& checksum : summary.checksums) {
    row("xxh3") << checksum.stored << ' ' << checksum.dataset;
    if (!checksum.computed.empty()) {
      out << (checksum.computed == checksum.stored ? "  verified"
                                                   : "  DIFFERS: " + checksum.computed);
    }
    out << '\n';
  }
}

void require_intact(const DatasetSummary& summary) {
  for (const ChecksumSummary& checksum : summary.checksums) {
    if (!checksum.computed.empty() && checksum.computed != checksum.stored) {
      throw DataError(summary.path + ": " + checksum.dataset + " has the checksum " +
                      checksum.computed + " where " + checksum.stored +
                      " is stored, so it is damaged; copy or import it again");
    }
  }
}

void require_new_sheet(const std::filesystem::path& picture) {
  if (std::filesystem::exists(picture)) {
    throw ConfigError("the contact sheet " + picture.string() +
                      " exists already and is not overwritten; remove it or choose another name");
  }
}

void write_contact_sheet(const std::string& dataset_path, const std::filesystem::path& picture) {
  constexpr std::int64_t kMostSheetImages = 64;
  constexpr std::int64_t kMostSheetBytes = 1 << 26;
  rehearse_reading(dataset_path, Reading::kImages);
  const DatasetFile file(dataset_path);
  const Split split = file.split(Split::kTrain) != nullptr ? Split::kTrain : Split::kTest;
  const SplitInfo& info = *file.split(split);
  const std::int64_t count = std::clamp<std::int64_t>(kMostSheetBytes / info.image_bytes(), 1,
                                                      std::min(kMostSheetImages, info.images));
  std::vector<std::uint8_t> images(static_cast<std::size_t>(count * info.image_bytes()));
  file.read_images(split, 0, count, images);
  const ContactSheet sheet =
      make_contact_sheet(images, count, info.channels, info.height, info.width);
  write_png(picture, sheet.width, sheet.height, sheet.channels, sheet.pixels);
}

}  // namespace gondola
