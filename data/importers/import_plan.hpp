#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/importers/import_source.hpp"

namespace gondola {

/// Which images of a source go where.
struct PlanOptions {
  std::int64_t limit = 0;  ///< At most so many images of each split of the source; 0: all.
  /// Where given, all images are pooled and drawn anew: this share of them, rounded, trains, the
  /// rest tests. Both keep the order of the source.
  std::optional<double> train_share = {};
  std::uint64_t seed = 0;  ///< Of the draw.
  std::int64_t shard_images =
      0;  ///< At most so many images a file, each of one split; 0: one file.
};

/// A file that an import makes: images [first, first+count) of each split of the dataset.
struct PlannedFile {
  struct Range {
    std::int64_t first = 0, count = 0;
  };
  std::string path = {};
  std::array<Range, 2> ranges = {};  ///< By Split.

  [[nodiscard]] std::int64_t images() const { return ranges[0].count + ranges[1].count; }
};

/// The way of every image from its place in the source to its place in the dataset: a pure function
/// of the listing, the options and the images left out.
class ImportPlan {
 public:
  /// `skipped` are the images to leave out, in any order.
  ImportPlan(const ImportListing& listing, const PlanOptions& options,
             const std::vector<ImportPlace>& skipped);

  /// Where an image of the source goes; nothing where it stays out.
  [[nodiscard]] std::optional<ImportPlace> target(ImportPlace source) const;

  /// Images of a split of the dataset.
  [[nodiscard]] std::int64_t images(Split split) const {
    return images_[static_cast<std::size_t>(split)];
  }

  /// Labels of images [first, first+count) of a split; empty where the source lacks any of them.
  [[nodiscard]] std::vector<std::int64_t> labels(Split split, PlannedFile::Range range) const;

  /// The files of the dataset named `output`: that one, or with shard_images one for each run of a
  /// split: <stem>-train-00000-of-00004<ending> and so on.
  [[nodiscard]] std::vector<PlannedFile> files(const std::string& output) const;

 private:
  std::int64_t shard_images_;
  std::array<std::int64_t, 2> images_ = {};
  /// By split and index in the source: 2 * index in the dataset + (0: training, 1: test split), or
  /// -1 where the image stays out.
  std::array<std::vector<std::int64_t>, 2> targets_;
  std::array<std::vector<std::int64_t>, 2> labels_;  ///< By split of the dataset.
};

}  // namespace gondola
