#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <vector>

#include "data/dataset_file.hpp"

namespace gondola {

/// How often each byte occurs in one channel of a split.
struct ChannelCounts {
  std::array<std::uint64_t, 256> counts = {};

  [[nodiscard]] std::uint64_t pixels() const;
  [[nodiscard]] double mean() const;    ///< In [0, 1].
  [[nodiscard]] double stddev() const;  ///< In [0, 1].
  [[nodiscard]] int least() const;      ///< The smallest byte that occurs ...
  [[nodiscard]] int most() const;       ///< ... and the largest.
};

/// What the images of a dataset file are like, from reading all of them.
struct PixelStatistics {
  struct ImageName {
    Split split = Split::kTrain;
    std::int64_t index = 0;
  };
  struct OfSplit {
    Split split = Split::kTrain;
    std::vector<ChannelCounts> channels = {};
  };
  struct Duplicate {
    ImageName image = {}, earlier = {};
  };

  std::vector<OfSplit> splits = {};
  std::int64_t duplicates = 0;     ///< Images whose 64-bit XXH3 an earlier image of the file has.
  std::int64_t across_splits = 0;  ///< Of these: test images that are training images too.
  std::vector<Duplicate> examples = {};  ///< The first few.
};

/// Reads every image. Takes some 60 bytes of memory an image. @throws DataError
[[nodiscard]] PixelStatistics count_pixels(const DatasetFile& file);

/// Prints mean, deviation, range and a histogram of 16 bins for each channel, and the duplicates.
void print_statistics(const PixelStatistics& statistics, std::ostream& out);

}  // namespace gondola
