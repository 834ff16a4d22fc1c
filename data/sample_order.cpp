#include "data/sample_order.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <numeric>
#include <optional>

namespace gondola {
namespace {

/// A 64-bit finaliser (the constants of SplitMix64): every input bit reaches every output bit.
std::uint64_t scramble(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

std::uint64_t combine(std::uint64_t key, std::uint64_t value) {
  return scramble(scramble(key) ^ value);
}

/// `bits` bits that depend on every bit of `half` and of the key. REQUIRES half < 2^31.
std::uint64_t mix(std::uint64_t key, std::uint64_t half, int bits) {
  std::uint64_t value = (half + key) * 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 32)) * 0xD6E8FEB86659FD93ULL;
  return value >> (64 - bits);
}

}  // namespace

KeyedPermutation::KeyedPermutation(std::uint64_t key, std::int64_t size) : size_(size) {
  assert(size >= 0);
  const auto last = static_cast<std::uint64_t>(std::max<std::int64_t>(size, 1) - 1);
  // At least 2^8 values, so that small sets see many different orders too.
  const int bits = std::max(8, static_cast<int>(std::bit_width(last)));
  low_bits_ = bits / 2;
  high_bits_ = bits - low_bits_;
  for (int round = 0; round < kRounds; ++round) {
    round_keys_[round] = combine(key, static_cast<std::uint64_t>(round));
  }
}

std::uint64_t KeyedPermutation::forward(std::uint64_t value) const {
  std::uint64_t high = value >> low_bits_;
  std::uint64_t low = value & ((1ULL << low_bits_) - 1);
  for (int round = 0; round < kRounds; round += 2) {
    high ^= mix(round_keys_[round], low, high_bits_);
    low ^= mix(round_keys_[round + 1], high, low_bits_);
  }
  return (high << low_bits_) | low;
}

std::uint64_t KeyedPermutation::backward(std::uint64_t value) const {
  std::uint64_t high = value >> low_bits_;
  std::uint64_t low = value & ((1ULL << low_bits_) - 1);
  for (int round = kRounds - 2; round >= 0; round -= 2) {
    low ^= mix(round_keys_[round + 1], high, low_bits_);
    high ^= mix(round_keys_[round], low, high_bits_);
  }
  return (high << low_bits_) | low;
}

std::int64_t KeyedPermutation::operator()(std::int64_t index) const {
  std::int64_t value = 0;
  fill(index, {&value, 1});
  return value;
}

void KeyedPermutation::fill(std::int64_t first, std::span<std::int64_t> out) const {
  assert(first >= 0 && first + static_cast<std::int64_t>(out.size()) <= size_);
  const auto size = static_cast<std::uint64_t>(size_);
  constexpr std::size_t kPart = 64;
  for (std::size_t begin = 0; begin < out.size(); begin += kPart) {
    const std::size_t count = std::min(kPart, out.size() - begin);
    std::uint64_t values[kPart];
    // No branch in here: the processor computes several values at once.
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = forward(static_cast<std::uint64_t>(first) + begin + i);
    }
    std::uint8_t outside[kPart];  // places of values that must walk on
    std::size_t left = 0;
    for (std::size_t i = 0; i < count; ++i) {
      outside[left] = static_cast<std::uint8_t>(i);
      left += values[i] >= size ? 1 : 0;
    }
    while (left > 0) {
      std::size_t still = 0;
      for (std::size_t i = 0; i < left; ++i) {
        const std::uint8_t place = outside[i];
        values[place] = forward(values[place]);
        outside[still] = place;
        still += values[place] >= size ? 1 : 0;
      }
      left = still;
    }
    for (std::size_t i = 0; i < count; ++i) {
      out[begin + i] = static_cast<std::int64_t>(values[i]);
    }
  }
}

std::int64_t KeyedPermutation::inverse(std::int64_t value) const {
  assert(value >= 0 && value < size_);
  auto index = static_cast<std::uint64_t>(value);
  do {
    index = backward(index);
  } while (index >= static_cast<std::uint64_t>(size_));
  return static_cast<std::int64_t>(index);
}

SampleOrder::SampleOrder(Shuffle shuffle, std::int64_t block_images, std::uint64_t seed,
                         std::int64_t images)
    : shuffle_(shuffle),
      block_images_(std::min(block_images, images)),
      seed_(seed),
      images_(images) {
  assert(images >= 1 && block_images >= 1);
}

std::uint64_t SampleOrder::key_of(std::int64_t epoch) const {
  return combine(seed_, static_cast<std::uint64_t>(epoch));
}

void SampleOrder::fill(std::int64_t epoch, std::int64_t first, std::span<std::int64_t> ids) const {
  assert(first >= 0 && first + static_cast<std::int64_t>(ids.size()) <= images_);
  switch (shuffle_) {
    case Shuffle::kNone:
      std::iota(ids.begin(), ids.end(), first);
      return;
    case Shuffle::kFull:
      KeyedPermutation(key_of(epoch), images_).fill(first, ids);
      return;
    case Shuffle::kBlocks:
      fill_blocks(key_of(epoch), first, ids);
      return;
  }
}

/// The blocks of one epoch laid end to end in the order of their visit: image at each place. The
/// last block of the file may be short; wherever it is visited, later places move up.
class SampleOrder::BlockPlaces {
 public:
  BlockPlaces(std::uint64_t key, std::int64_t block, std::int64_t images)
      : block_(block),
        blocks_((images + block - 1) / block),
        images_(images),
        order_(combine(key, 1), blocks_),
        short_begin_(order_.inverse(blocks_ - 1) * block),
        short_end_(short_begin_ + images - (blocks_ - 1) * block) {}

  /// Looks up the blocks of places [begin, end); image_at() then answers for these.
  void look_at(std::int64_t begin, std::int64_t end) {
    first_visit_ = visit_of(begin);
    blocks_of_visits_.resize(static_cast<std::size_t>(visit_of(end - 1) - first_visit_ + 1));
    order_.fill(first_visit_, blocks_of_visits_);
  }

  [[nodiscard]] std::int64_t image_at(std::int64_t place) const {
    const std::int64_t regular = regular_place(place);
    const std::int64_t visit = regular / block_;
    return blocks_of_visits_[static_cast<std::size_t>(visit - first_visit_)] * block_ + regular -
           visit * block_;
  }

  /// The runs that places [begin, end) lie in. REQUIRES look_at(begin, end).
  [[nodiscard]] std::vector<ImageRun> runs() const {
    std::vector<ImageRun> runs;
    for (const std::int64_t block : blocks_of_visits_) {
      runs.push_back({block * block_, std::min(block_, images_ - block * block_)});
    }
    return runs;
  }

 private:
  /// Where the place would be if every block were full.
  [[nodiscard]] std::int64_t regular_place(std::int64_t place) const {
    return place < short_end_ ? place : place - short_end_ + short_begin_ + block_;
  }
  [[nodiscard]] std::int64_t visit_of(std::int64_t place) const {
    return regular_place(place) / block_;
  }

  std::int64_t block_, blocks_, images_;
  KeyedPermutation order_;
  std::int64_t short_begin_, short_end_;
  std::int64_t first_visit_ = 0;
  std::vector<std::int64_t> blocks_of_visits_;
};

std::int64_t SampleOrder::window_images() const {
  // A single block is the whole file, so this cannot overflow.
  return shuffle_ == Shuffle::kBlocks && block_images_ < images_
             ? std::min(images_, block_images_ * kWindowBlocks)
             : images_;
}

std::vector<ImageRun> SampleOrder::runs_of_window(std::int64_t epoch, std::int64_t window) const {
  if (shuffle_ != Shuffle::kBlocks) {
    return {{0, images_}};
  }
  const std::int64_t begin = window * window_images();
  assert(window >= 0 && begin < images_);
  BlockPlaces places(key_of(epoch), block_images_, images_);
  places.look_at(begin, std::min(images_, begin + window_images()));
  return places.runs();
}

void SampleOrder::fill_blocks(std::uint64_t key, std::int64_t first,
                              std::span<std::int64_t> ids) const {
  // What was looked up last serves the next piece of a batch, which reads from the same window.
  struct LookedUp {
    std::uint64_t key;
    std::int64_t block, images, begin;
    BlockPlaces places;
  };
  thread_local std::optional<LookedUp> last;
  const std::int64_t step = window_images();
  for (std::size_t done = 0; done < ids.size();) {
    const std::int64_t position = first + static_cast<std::int64_t>(done);
    const std::int64_t window = position / step;
    const std::int64_t begin = window * step;
    const std::int64_t end = std::min(images_, begin + step);
    const auto part =
        ids.subspan(done, std::min(ids.size() - done, static_cast<std::size_t>(end - position)));
    const KeyedPermutation within(combine(key, 2 + static_cast<std::uint64_t>(window)),
                                  end - begin);
    within.fill(position - begin, part);
    if (!last || last->key != key || last->block != block_images_ || last->images != images_ ||
        last->begin != begin) {
      last.emplace(
          LookedUp{key, block_images_, images_, begin, BlockPlaces(key, block_images_, images_)});
      last->places.look_at(begin, end);
    }
    for (std::int64_t& id : part) {
      id = last->places.image_at(begin + id);
    }
    done += part.size();
  }
}

}  // namespace gondola
