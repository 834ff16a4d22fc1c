#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "configs/run_config.hpp"

namespace gondola {

/// A bijection of 0..size-1 that is computed, not stored: a Feistel network over the next power of
/// two (at least 2^8), walked along its cycle until it is back inside. The same on every machine.
class KeyedPermutation {
 public:
  /// REQUIRES 0 <= size <= 2^62.
  KeyedPermutation(std::uint64_t key, std::int64_t size);

  [[nodiscard]] std::int64_t size() const { return size_; }
  /// REQUIRES 0 <= index < size().
  [[nodiscard]] std::int64_t operator()(std::int64_t index) const;
  /// out[i] = (*this)(first + i), many at a time, which is several times faster than one by one.
  /// REQUIRES 0 <= first and first + out.size() <= size().
  void fill(std::int64_t first, std::span<std::int64_t> out) const;
  /// inverse((*this)(i)) == i.
  [[nodiscard]] std::int64_t inverse(std::int64_t value) const;

 private:
  static constexpr int kRounds = 8;

  [[nodiscard]] std::uint64_t forward(std::uint64_t value) const;
  [[nodiscard]] std::uint64_t backward(std::uint64_t value) const;

  std::int64_t size_;
  int low_bits_, high_bits_;  ///< The two parts that change in turn.
  std::uint64_t round_keys_[kRounds];
};

/// Neighbouring images of the file: ids first..first+images-1.
struct ImageRun {
  std::int64_t first = 0, images = 0;
  bool operator==(const ImageRun&) const = default;
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

  /// Positions that belong together: of `blocks` a window, else the whole epoch.
  [[nodiscard]] std::int64_t window_images() const;
  /// What the window number `window` of this epoch reads, run by run; of orders without blocks the
  /// whole file.
  [[nodiscard]] std::vector<ImageRun> runs_of_window(std::int64_t epoch, std::int64_t window) const;

 private:
  class BlockPlaces;

  [[nodiscard]] std::uint64_t key_of(std::int64_t epoch) const;
  void fill_blocks(std::uint64_t key, std::int64_t first, std::span<std::int64_t> ids) const;

  Shuffle shuffle_;
  std::int64_t block_images_;
  std::uint64_t seed_;
  std::int64_t images_;
};

}  // namespace gondola
