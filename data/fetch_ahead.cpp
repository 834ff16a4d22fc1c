#include "data/fetch_ahead.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace gondola {

FetchAhead::FetchAhead(const SampleOrder& order, std::int64_t images, std::int64_t part_images,
                       double share)
    : order_(order),
      images_(images),
      part_images_(part_images),
      share_(share),
      windows_((images + order.window_images() - 1) / order.window_images()) {
  assert(images >= 1 && part_images >= 1 && share >= 0 && share < 1);
}

void FetchAhead::restart() {
  entered_ = {};
  needed_.clear();
  ahead_.clear();
  ahead_parts_ = ahead_may_wait_ = 0;
}

FetchAhead::Window FetchAhead::after(Window window) const {
  return window.index + 1 < windows_ ? Window{window.epoch, window.index + 1}
                                     : Window{window.epoch + 1, 0};
}

std::deque<ImageRun> FetchAhead::parts_of(Window window) const {
  std::deque<ImageRun> parts;
  for (const ImageRun& run : order_.runs_of_window(window.epoch, window.index)) {
    const std::int64_t count = (run.images + part_images_ - 1) / part_images_;  // of equal length
    for (std::int64_t part = 0; part < count; ++part) {
      const std::int64_t begin = run.images * part / count, end = run.images * (part + 1) / count;
      parts.push_back({run.first + begin, end - begin});
    }
  }
  const auto first = static_cast<std::ptrdiff_t>(share_ * static_cast<double>(parts.size()));
  std::rotate(parts.begin(), parts.begin() + first, parts.end());
  return parts;
}

void FetchAhead::enter(Window window) {
  if (window == entered_) return;
  const bool was_ahead = windows_ > 1 && entered_.epoch >= 0 && window == after(entered_);
  const auto parts = was_ahead ? std::exchange(ahead_, {}) : parts_of(window);
  needed_.insert(needed_.end(), parts.begin(), parts.end());
  entered_ = window;
  // Where there is one window only, there is nothing new to fetch for the next epoch.
  ahead_ = windows_ > 1 ? parts_of(after(window)) : std::deque<ImageRun>{};
  ahead_parts_ = static_cast<std::int64_t>(ahead_.size());
}

void FetchAhead::begin(std::int64_t epoch, std::int64_t first, std::int64_t end) {
  assert(first >= 0 && first < end && end <= images_);
  const std::int64_t step = order_.window_images();
  for (std::int64_t window = first / step; window <= (end - 1) / step; ++window) {
    enter({epoch, window});
  }
  // The last quarter of a window is left for those that come late.
  const std::int64_t window_begin = entered_.index * step;
  const std::int64_t window_images = std::min(step, images_ - window_begin);
  const std::int64_t due =
      (4 * ahead_parts_ * (end - window_begin) + 3 * window_images - 1) / (3 * window_images);
  ahead_may_wait_ = std::max<std::int64_t>(0, ahead_parts_ - due);
}

ImageRun FetchAhead::take() {
  assert(has_due());
  auto& parts = has_needed() ? needed_ : ahead_;
  const ImageRun part = parts.front();
  parts.pop_front();
  return part;
}

}  // namespace gondola
