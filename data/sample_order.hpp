#pragma once

#include <cstdint>
#include <span>

#include "configs/run_config.hpp"

namespace gondola {

/// A bijection of 0..size-1 that is computed, not stored: a Feistel network over the next even
/// power of two, walked along its cycle until it is back inside. The same on every machine.
class KeyedPermutation {
 public:
  /// REQUIRES 0 <= size <= 2^62.
  KeyedPermutation(std::uint64_t key, std::int64_t size);

  [[nodiscard]] std::int64_t size() const { return size_; }
  /// REQUIRES 0 <= index < size().
  [[nodiscard]] std::int64_t operator()(std::int64_t index) const;
  /// inverse((*this)(i)) == i.
  [[nodiscard]] std::int64_t inverse(std::int64_t value) const;

 private:
  static constexpr int kRounds = 8;

  [[nodiscard]] std::uint64_t mix(int round, std::uint64_t half) const;
  [[nodiscard]] std::uint64_t forward(std::uint64_t value) const;
  [[nodiscard]] std::uint64_t backward(std::uint64_t value) const;

  std::int64_t size_;
  int half_bits_;
  std::uint64_t half_mask_;
  std::uint64_t round_keys_[kRounds];
};

/// The order in which an epoch visits the images: position -> image id, a pure function of
/// (shuffle, block_images, seed, epoch, images). It knows nothing of ranks or batches.
///
/// full    every order is possible;
/// blocks  runs of block_images neighbours are visited in random order and mixed within windows of
///         kWindowBlocks runs, so that what is read lies in few places of the file at a time;
/// none    0, 1, 2, ...
class SampleOrder {
 public:
  static constexpr std::int64_t kWindowBlocks = 16;

  /// REQUIRES images >= 1, block_images >= 1.
  SampleOrder(Shuffle shuffle, std::int64_t block_images, std::uint64_t seed, std::int64_t images);

  /// Image ids of positions first, first+1, ... of this epoch, as many as `ids` has room for.
  /// REQUIRES 0 <= first and first + ids.size() <= images.
  void fill(std::int64_t epoch, std::int64_t first, std::span<std::int64_t> ids) const;

 private:
  void fill_blocks(std::uint64_t key, std::int64_t first, std::span<std::int64_t> ids) const;

  Shuffle shuffle_;
  std::int64_t block_images_;
  std::uint64_t seed_;
  std::int64_t images_;
};

}  // namespace gondola
