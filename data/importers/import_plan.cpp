#include "data/importers/import_plan.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <utility>

namespace gondola {
namespace {

constexpr std::array kSplits = {Split::kTrain, Split::kTest};

std::size_t place(Split split) { return static_cast<std::size_t>(split); }

/// Which of `images` images train: the round(share * images) with the least keyed hashes.
std::vector<bool> draw(std::int64_t images, double share, std::uint64_t seed) {
  std::vector<std::pair<std::uint64_t, std::int64_t>> ranking;
  ranking.reserve(static_cast<std::size_t>(images));
  for (std::int64_t i = 0; i < images; ++i) {
    ranking.emplace_back(XXH3_64bits_withSeed(&i, sizeof i, seed), i);
  }
  const auto chosen =
      std::clamp<std::int64_t>(std::llround(share * static_cast<double>(images)), 0, images);
  const auto end = ranking.begin() + static_cast<std::ptrdiff_t>(chosen);
  std::nth_element(ranking.begin(), end, ranking.end());
  std::vector<bool> trains(static_cast<std::size_t>(images), false);
  std::for_each(ranking.begin(), end,
                [&](const auto& entry) { trains[static_cast<std::size_t>(entry.second)] = true; });
  return trains;
}

}  // namespace

ImportPlan::ImportPlan(const ImportListing& listing, const PlanOptions& options,
                       const std::vector<ImportPlace>& skipped)
    : shard_images_(options.shard_images) {
  for (const Split split : kSplits) {
    targets_[place(split)].assign(static_cast<std::size_t>(listing.of(split).images), 0);
  }
  for (const ImportPlace& image : skipped) {
    targets_[place(image.split)].at(static_cast<std::size_t>(image.index)) = -1;
  }
  std::int64_t kept = 0;
  for (auto& targets : targets_) {
    std::int64_t of_split = 0;
    for (std::int64_t& target : targets) {
      if (options.limit > 0 && of_split == options.limit) target = -1;
      if (target >= 0) ++of_split;
    }
    kept += of_split;
  }

  const auto drawn =
      options.train_share ? draw(kept, *options.train_share, options.seed) : std::vector<bool>{};
  std::array<bool, 2> labelled = {true, true};
  std::int64_t number = 0;  // among the images kept
  for (const Split split : kSplits) {
    const auto& labels = listing.of(split).labels;
    auto& targets = targets_[place(split)];
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (targets[i] < 0) continue;
      Split to = split;
      if (options.train_share) {
        to = drawn[static_cast<std::size_t>(number)] ? Split::kTrain : Split::kTest;
      }
      ++number;
      targets[i] = 2 * images_[place(to)]++ + (to == Split::kTest ? 1 : 0);
      labelled[place(to)] = labelled[place(to)] && !labels.empty();
      if (labelled[place(to)]) labels_[place(to)].push_back(labels[i]);
    }
  }
  for (const Split split : kSplits) {
    if (!labelled[place(split)]) labels_[place(split)].clear();
  }
}

std::optional<ImportPlace> ImportPlan::target(ImportPlace source) const {
  const std::int64_t target =
      targets_[place(source.split)].at(static_cast<std::size_t>(source.index));
  if (target < 0) return std::nullopt;
  return ImportPlace{target % 2 == 0 ? Split::kTrain : Split::kTest, target / 2};
}

std::vector<std::int64_t> ImportPlan::labels(Split split, PlannedFile::Range range) const {
  const auto& labels = labels_[place(split)];
  if (labels.empty()) return {};
  const auto begin = labels.begin() + range.first;
  return {begin, begin + range.count};
}

std::vector<PlannedFile> ImportPlan::files(const std::string& output) const {
  if (shard_images_ == 0) {
    return {{.path = output, .ranges = {{{0, images_[0]}, {0, images_[1]}}}}};
  }
  const std::filesystem::path path(output);
  std::vector<PlannedFile> files;
  for (const Split split : kSplits) {
    const std::int64_t images = images_[place(split)];
    const std::int64_t shards = (images + shard_images_ - 1) / shard_images_;
    for (std::int64_t shard = 0; shard < shards; ++shard) {
      char number[64];
      std::snprintf(number, sizeof number, "-%s-%05lld-of-%05lld", split_name(split),
                    static_cast<long long>(shard), static_cast<long long>(shards));
      PlannedFile file;
      file.path = path.parent_path() / (path.stem().string() + number + path.extension().string());
      const std::int64_t first = shard * shard_images_;
      file.ranges[place(split)] = {first, std::min(shard_images_, images - first)};
      files.push_back(std::move(file));
    }
  }
  return files;
}

}  // namespace gondola
