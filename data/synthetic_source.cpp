#include "data/synthetic_source.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "configs/errors.hpp"
#include "data/checksum.hpp"

namespace gondola {
namespace {

constexpr std::string_view kPrefix = "synthetic:";
constexpr std::int64_t kMostBlobs = 4;
constexpr std::int64_t kSide = 4096;  // blobs live on a square of this side, whatever H and W are

/// SplitMix64's sequence from a seed.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}

  /// From low to high, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t value = state_;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
    value ^= value >> 31;
    return low + static_cast<std::int64_t>(value % static_cast<std::uint64_t>(high - low + 1));
  }

 private:
  std::uint64_t state_;
};

struct Blob {
  std::int64_t row, column, squared_radius;
};

std::int64_t blob_count(Numbers& numbers) { return numbers.between(1, kMostBlobs); }

/// One image of any size.
class Drawing {
 public:
  Drawing(std::int64_t index, std::int64_t channels)
      : brightness_(static_cast<std::size_t>(channels)) {
    Numbers numbers(static_cast<std::uint64_t>(index));
    count_ = static_cast<std::size_t>(blob_count(numbers));
    for (std::size_t i = 0; i < count_; ++i) {
      const std::int64_t radius = numbers.between(kSide / 6, kSide / 2);
      blobs_[i] = {numbers.between(0, kSide), numbers.between(0, kSide), radius * radius};
    }
    for (auto& of_channel : brightness_) {
      for (std::int64_t& value : of_channel) value = numbers.between(60, 255);
    }
  }

  /// At pixel (y, x) of height x width ones.
  [[nodiscard]] std::uint8_t at(std::int64_t channel, std::int64_t y, std::int64_t x,
                                std::int64_t height, std::int64_t width) const {
    const std::int64_t row = (2 * y + 1) * kSide / (2 * height);
    const std::int64_t column = (2 * x + 1) * kSide / (2 * width);
    const auto& brightness = brightness_[static_cast<std::size_t>(channel)];
    std::int64_t value = 16;
    for (std::size_t i = 0; i < count_; ++i) {
      const Blob& blob = blobs_[i];
      const std::int64_t dy = row - blob.row, dx = column - blob.column;
      const std::int64_t rest = std::max<std::int64_t>(0, blob.squared_radius - dy * dy - dx * dx);
      // brightness * (1 - (distance/radius)^2)^2, below 2^8 * 2^22 * 2^22
      value += brightness[i] * rest / blob.squared_radius * rest / blob.squared_radius;
    }
    return static_cast<std::uint8_t>(std::min<std::int64_t>(value, 255));
  }

 private:
  std::size_t count_ = 0;
  std::array<Blob, kMostBlobs> blobs_{};
  std::vector<std::array<std::int64_t, kMostBlobs>> brightness_;  ///< By channel.
};

void draw(std::int64_t index, std::int64_t channels, std::int64_t height, std::int64_t width,
          std::uint8_t* out) {
  const Drawing drawing(index, channels);
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) *out++ = drawing.at(channel, y, x, height, width);
    }
  }
}

[[noreturn]] void refuse(const std::string& path) {
  throw ConfigError("data.path = " + path +
                    " is no synthetic dataset; write synthetic:<images>x<channels>x<height>x"
                    "<width>, for example synthetic:1000x1x28x28, with at most " +
                    std::to_string(kMostImages) + " images of at most " +
                    std::to_string(kMostImageBytes) + " bytes");
}

/// The four numbers of N x C x H x W. @throws ConfigError
std::array<std::int64_t, 4> parse_sizes(const std::string& path) {
  std::array<std::int64_t, 4> sizes{};
  const char* at = path.data() + kPrefix.size();
  const char* const end = path.data() + path.size();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto [after, error] = std::from_chars(at, end, sizes[i]);
    const bool separated = i + 1 == sizes.size() ? after == end : after != end && *after == 'x';
    constexpr std::int64_t kMostSize = 1 << 14;
    if (error != std::errc{} || !separated || sizes[i] < 1 ||
        sizes[i] > (i == 0 ? kMostImages : kMostSize)) {
      refuse(path);
    }
    at = after + 1;
  }
  if (sizes[1] * sizes[2] * sizes[3] > kMostImageBytes) {
    refuse(path);
  }
  return sizes;
}

}  // namespace

bool is_synthetic(const std::string& path) { return path.starts_with(kPrefix); }

std::unique_ptr<SyntheticSource> SyntheticSource::open(const std::string& path, Split split) {
  const auto [count, channels, height, width] = parse_sizes(path);
  SourceInfo info;
  info.name = path + " (" + split_name(split) + ")";
  info.images = split == Split::kTrain ? count : (count + 9) / 10;
  info.channels = channels;
  info.height = height;
  info.width = width;
  const std::int64_t first = split == Split::kTrain ? 0 : count;
  for (std::int64_t id = 0; id < info.images; ++id) {
    Numbers numbers(static_cast<std::uint64_t>(first + id));
    info.labels.push_back(blob_count(numbers) - 1);
  }

  constexpr std::int64_t kMeanImages = 4096, kMeanBytes = 1 << 24;
  const std::int64_t image_bytes = channels * height * width;
  const std::int64_t averaged =
      std::clamp<std::int64_t>(kMeanBytes / image_bytes, 1, std::min(info.images, kMeanImages));
  std::vector<std::uint8_t> image(static_cast<std::size_t>(image_bytes));
  std::vector<std::uint64_t> sums(image.size());
  for (std::int64_t id = 0; id < averaged; ++id) {
    draw(first + id, channels, height, width, image.data());
    std::transform(sums.begin(), sums.end(), image.begin(), sums.begin(), std::plus<>());
  }
  for (const std::uint64_t sum : sums) {
    info.mean_image.push_back(static_cast<double>(sum) / (255.0 * static_cast<double>(averaged)));
  }
  Xxh3 fingerprint;
  fingerprint.update(info.name.data(), info.name.size());
  info.fingerprint = fingerprint.value();
  return std::unique_ptr<SyntheticSource>(new SyntheticSource(std::move(info), first));
}

void SyntheticSource::read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const {
  check_read(ids, out.size());
  std::uint8_t* image = out.data();
  for (const std::int64_t id : ids) {
    draw(first_ + id, channels(), height(), width(), image);
    image += image_bytes();
  }
}

void SyntheticSource::pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
                           std::span<std::uint8_t> out) const {
  check_pick(ids, pixels, out.size());
  std::uint8_t* value = out.data();
  for (const std::int64_t id : ids) {
    const Drawing drawing(first_ + id, channels());
    for (std::int64_t channel = 0; channel < channels(); ++channel) {
      for (const std::int64_t pixel : pixels) {
        *value++ = drawing.at(channel, pixel / width(), pixel % width(), height(), width());
      }
    }
  }
}

}  // namespace gondola
