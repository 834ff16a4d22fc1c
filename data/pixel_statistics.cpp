#include "data/pixel_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <numeric>
#include <ostream>
#include <unordered_map>

#include "data/checksum.hpp"
#include "data/image_blocks.hpp"

namespace gondola {
namespace {

constexpr std::size_t kMostExamples = 5;

/// A sum over the byte values of count * term(value).
template <typename Term>
double weighted_sum(const std::array<std::uint64_t, 256>& counts, const Term& term) {
  double sum = 0;
  for (std::size_t value = 0; value < counts.size(); ++value) {
    sum += static_cast<double>(counts[value]) * term(static_cast<double>(value) / 255.0);
  }
  return sum;
}

/// Counts the pixels of one split and notes its duplicates.
class Counter {
 public:
  explicit Counter(PixelStatistics& statistics) : statistics_(statistics) {}

  void count(const DatasetFile& file, Split split) {
    const SplitInfo& info = *file.split(split);
    auto& channels = statistics_.splits.emplace_back(split).channels;
    channels.resize(static_cast<std::size_t>(info.channels));
    constexpr std::int64_t kBlockBytes = 1 << 22;
    for_each_block(
        file, split, kBlockBytes, [&](std::int64_t image, std::span<const std::uint8_t> block) {
          for (const std::uint8_t* pixel = block.data(); pixel != block.data() + block.size();) {
            note({split, image++}, pixel, info.image_bytes());
            for (ChannelCounts& channel : channels) {
              for (std::int64_t p = 0; p < info.height * info.width; ++p) {
                ++channel.counts[*pixel++];
              }
            }
          }
        });
  }

 private:
  void note(PixelStatistics::ImageName image, const std::uint8_t* pixels, std::int64_t bytes) {
    Xxh3 sum;
    sum.update(pixels, static_cast<std::size_t>(bytes));
    const auto [found, is_new] = earlier_.emplace(sum.value(), image);
    if (is_new) return;
    ++statistics_.duplicates;
    if (found->second.split != image.split) ++statistics_.across_splits;
    if (statistics_.examples.size() < kMostExamples) {
      statistics_.examples.push_back({image, found->second});
    }
  }

  PixelStatistics& statistics_;
  std::unordered_map<std::uint64_t, PixelStatistics::ImageName> earlier_;
};

void print_image(std::ostream& out, const PixelStatistics::ImageName& image) {
  out << split_name(image.split) << ' ' << image.index;
}

}  // namespace

std::uint64_t ChannelCounts::pixels() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

double ChannelCounts::mean() const {
  return weighted_sum(counts, [](double value) { return value; }) / static_cast<double>(pixels());
}

double ChannelCounts::stddev() const {
  const double centre = mean();
  return std::sqrt(
      weighted_sum(counts, [centre](double value) { return (value - centre) * (value - centre); }) /
      static_cast<double>(pixels()));
}

int ChannelCounts::least() const {
  const auto found = std::find_if(counts.begin(), counts.end(), [](auto n) { return n > 0; });
  return static_cast<int>(found - counts.begin());
}

int ChannelCounts::most() const {
  const auto found = std::find_if(counts.rbegin(), counts.rend(), [](auto n) { return n > 0; });
  return static_cast<int>(counts.rend() - found) - 1;
}

PixelStatistics count_pixels(const DatasetFile& file) {
  PixelStatistics statistics;
  Counter counter(statistics);
  for (const Split split : {Split::kTrain, Split::kTest}) {
    if (file.split(split) != nullptr) counter.count(file, split);
  }
  return statistics;
}

void print_statistics(const PixelStatistics& statistics, std::ostream& out) {
  constexpr std::size_t kBins = 16;
  out << std::fixed;
  for (const auto& [split, channels] : statistics.splits) {
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const ChannelCounts& channel = channels[i];
      out << std::left << std::setw(12) << split_name(split) << " channel " << i
          << std::setprecision(4) << "  mean " << channel.mean() << "  stddev " << channel.stddev()
          << "  bytes " << channel.least() << " to " << channel.most() << '\n';
      out << std::setw(12) << ""
          << " percent by sixteenths" << std::setprecision(1);
      for (std::size_t bin = 0; bin < kBins; ++bin) {
        const auto begin = channel.counts.begin() + static_cast<std::ptrdiff_t>(bin * kBins);
        const auto in_bin = std::accumulate(begin, begin + kBins, std::uint64_t{0});
        out << ' ' << 100.0 * static_cast<double>(in_bin) / static_cast<double>(channel.pixels());
      }
      out << '\n';
    }
  }
  out << std::setw(12) << "duplicates" << ' ' << statistics.duplicates << " images are equal to an "
      << "earlier one, " << statistics.across_splits << " of them across the splits";
  for (const auto& [image, earlier] : statistics.examples) {
    out << (&image == &statistics.examples.front().image ? ": " : ", ");
    print_image(out, image);
    out << " = ";
    print_image(out, earlier);
  }
  out << '\n';
}

}  // namespace gondola
