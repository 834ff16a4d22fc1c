#pragma once

#include <cstdint>
#include <deque>

#include "data/sample_order.hpp"

namespace gondola {

/// Which images storage is to fetch, and when, for batches of an order with windows: all of a
/// window that a batch reads from, and, while the batches go through it, those of the window after
/// it little by little, so that they are there when it begins. In parts of a few megabytes, each
/// once a window. Not thread-safe.
class FetchAhead {
 public:
  /// @param images that an epoch visits: its first positions
  /// @param part_images at most, of one part
  /// @param share 0 to 1: where in a window's parts to begin, so that processes which fetch the
  /// same file begin with others
  FetchAhead(const SampleOrder& order, std::int64_t images, std::int64_t part_images, double share);

  /// Positions [first, end) of this epoch are about to be read. REQUIRES that they lie in the
  /// windows after those of the call before, or in the last of these, or that restart() was called.
  void begin(std::int64_t epoch, std::int64_t first, std::int64_t end);

  /// Whatever begins next begins anew.
  void restart();

  /// Whether a part of a window that has begun is left.
  [[nodiscard]] bool has_needed() const { return !needed_.empty(); }
  /// Whether a part is left whose time has come, needed or ahead.
  [[nodiscard]] bool has_due() const {
    return has_needed() || static_cast<std::int64_t>(ahead_.size()) > ahead_may_wait_;
  }
  /// Takes one, needed ones first. REQUIRES has_due().
  [[nodiscard]] ImageRun take();

 private:
  struct Window {
    std::int64_t epoch = -1, index = 0;
    bool operator==(const Window&) const = default;
  };

  void enter(Window window);
  [[nodiscard]] Window after(Window window) const;
  [[nodiscard]] std::deque<ImageRun> parts_of(Window window) const;

  const SampleOrder& order_;
  const std::int64_t images_, part_images_;
  const double share_;
  const std::int64_t windows_;  ///< That an epoch visits.
  Window entered_;
  std::deque<ImageRun> needed_, ahead_;
  std::int64_t ahead_parts_ = 0;     ///< Of the window ahead in all.
  std::int64_t ahead_may_wait_ = 0;  ///< So many of them need not be fetched yet.
};

}  // namespace gondola
