#include "data/sample_order.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <numeric>

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

}  // namespace

KeyedPermutation::KeyedPermutation(std::uint64_t key, std::int64_t size) : size_(size) {
  assert(size >= 0);
  const auto last = static_cast<std::uint64_t>(std::max<std::int64_t>(size, 1) - 1);
  // At least 2^8 values, so that small sets see many different orders too.
  half_bits_ = std::max(4, (static_cast<int>(std::bit_width(last)) + 1) / 2);
  half_mask_ = (1ULL << half_bits_) - 1;
  for (int round = 0; round < kRounds; ++round) {
    round_keys_[round] = combine(key, static_cast<std::uint64_t>(round));
  }
}

std::uint64_t KeyedPermutation::mix(int round, std::uint64_t half) const {
  return scramble(round_keys_[round] ^ half) & half_mask_;
}

std::uint64_t KeyedPermutation::forward(std::uint64_t value) const {
  std::uint64_t left = value >> half_bits_;
  std::uint64_t right = value & half_mask_;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t next = left ^ mix(round, right);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

std::uint64_t KeyedPermutation::backward(std::uint64_t value) const {
  std::uint64_t left = value >> half_bits_;
  std::uint64_t right = value & half_mask_;
  for (int round = kRounds - 1; round >= 0; --round) {
    const std::uint64_t previous = right ^ mix(round, left);
    right = left;
    left = previous;
  }
  return (left << half_bits_) | right;
}

std::int64_t KeyedPermutation::operator()(std::int64_t index) const {
  assert(index >= 0 && index < size_);
  auto value = static_cast<std::uint64_t>(index);
  do {
    value = forward(value);
  } while (value >= static_cast<std::uint64_t>(size_));
  return static_cast<std::int64_t>(value);
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
    : shuffle_(shuffle), block_images_(block_images), seed_(seed), images_(images) {
  assert(images >= 1 && block_images >= 1);
}

void SampleOrder::fill(std::int64_t epoch, std::int64_t first, std::span<std::int64_t> ids) const {
  assert(first >= 0 && first + static_cast<std::int64_t>(ids.size()) <= images_);
  const std::uint64_t key = combine(seed_, static_cast<std::uint64_t>(epoch));
  switch (shuffle_) {
    case Shuffle::kNone:
      std::iota(ids.begin(), ids.end(), first);
      return;
    case Shuffle::kFull: {
      const KeyedPermutation permutation(key, images_);
      std::generate(ids.begin(), ids.end(), [&] { return permutation(first++); });
      return;
    }
    case Shuffle::kBlocks:
      fill_blocks(key, first, ids);
      return;
  }
}

void SampleOrder::fill_blocks(std::uint64_t key, std::int64_t first,
                              std::span<std::int64_t> ids) const {
  const std::int64_t block = std::min(block_images_, images_);
  const std::int64_t blocks = (images_ + block - 1) / block;
  const KeyedPermutation block_order(combine(key, 1), blocks);

  // The last block of the file may be short; wherever it is visited, later positions move up.
  const std::int64_t short_place = block_order.inverse(blocks - 1);
  const std::int64_t short_begin = short_place * block;
  const std::int64_t short_end = short_begin + images_ - (blocks - 1) * block;
  const auto image_at_place = [&](std::int64_t place) {
    if (place >= short_begin && place < short_end) {
      return (blocks - 1) * block + place - short_begin;
    }
    const std::int64_t regular =
        place < short_begin ? place : place - short_end + short_begin + block;
    return block_order(regular / block) * block + regular % block;
  };

  const std::int64_t window_images = std::min(images_, block * kWindowBlocks);
  std::size_t done = 0;
  while (done < ids.size()) {
    const std::int64_t position = first + static_cast<std::int64_t>(done);
    const std::int64_t window = position / window_images;
    const std::int64_t begin = window * window_images;
    const std::int64_t end = std::min(images_, begin + window_images);
    const KeyedPermutation within(combine(key, 2 + static_cast<std::uint64_t>(window)),
                                  end - begin);
    for (std::int64_t p = position; p < end && done < ids.size(); ++p) {
      ids[done++] = image_at_place(begin + within(p - begin));
    }
  }
}

}  // namespace gondola
