#include "data/importers/image_pipeline.hpp"

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace gondola {
namespace {

/// Thrown into a source's deliver() when nothing more is needed of it.
struct Stopped {};

/// Images on their way from the reading thread to the working ones, several at a time, so that
/// small ones do not cost a wake-up each.
class ImageQueue {
 public:
  /// @param takers threads that call pop()
  explicit ImageQueue(std::int64_t takers) : takers_(static_cast<std::size_t>(takers)) {}

  /// Waits while the queue is full. @throws Stopped after fail()
  void push(RawImage image) {
    bundle_bytes_ += bytes_of(image);
    bundle_.push_back(std::move(image));
    if (bundle_bytes_ >= kBundleBytes || bundle_.size() >= kBundleImages) flush();
  }

  void flush() {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return error_ || waiting_bytes_ < kMostWaitingBytes; });
    if (error_) throw Stopped();
    waiting_bytes_ += std::exchange(bundle_bytes_, 0);
    for (RawImage& image : bundle_) waiting_.push_back(std::move(image));
    bundle_.clear();
    work_.notify_all();
  }

  /// No more will be pushed.
  void finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    work_.notify_all();
  }

  /// The next images; none where there will be none. Any thread.
  std::vector<RawImage> pop() {
    std::unique_lock lock(mutex_);
    work_.wait(lock, [this] { return error_ || finished_ || !waiting_.empty(); });
    if (error_) return {};
    // What is left is shared out, so that all threads come to the end together.
    const std::size_t share = (waiting_.size() + 2 * takers_ - 1) / (2 * takers_);
    std::vector<RawImage> images;
    images.reserve(std::min(share, kBundleImages));
    for (std::size_t bytes = 0;
         images.size() < std::min(share, kBundleImages) && bytes < kBundleBytes;
         waiting_.pop_front()) {
      bytes += bytes_of(waiting_.front());
      waiting_bytes_ -= bytes_of(waiting_.front());
      images.push_back(std::move(waiting_.front()));
    }
    // Not at once, or the reading thread would be woken for every few images.
    if (waiting_bytes_ <= kMostWaitingBytes / 2) room_.notify_one();
    return images;
  }

  /// Ends the work; the first error is kept.
  void fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    work_.notify_all();
    room_.notify_all();
  }

  [[nodiscard]] std::exception_ptr error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  static constexpr std::size_t kBundleBytes = 1 << 17;
  static constexpr std::size_t kBundleImages = 256;
  static constexpr std::size_t kMostWaitingBytes = 1 << 22;

  /// Of an image that is not loaded yet, what a small one takes.
  [[nodiscard]] static std::size_t bytes_of(const RawImage& image) {
    return image.load ? kBundleBytes / 32 : image.bytes.size();
  }

  const std::size_t takers_;
  std::vector<RawImage> bundle_;  ///< Of the reading thread alone, as is the next.
  std::size_t bundle_bytes_ = 0;

  std::mutex mutex_;
  std::condition_variable work_, room_;
  std::deque<RawImage> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool finished_ = false;
  std::exception_ptr error_;
};

}  // namespace

void run_pipeline(ImportSource& source, std::int64_t jobs, std::int64_t most,
                  const std::function<bool(ImportPlace)>& wanted,
                  const std::function<void(std::span<RawImage>)>& process) {
  assert(jobs >= 1);
  ImageQueue queue(jobs);
  const auto work = [&] {
    try {
      for (auto images = queue.pop(); !images.empty(); images = queue.pop()) {
        process(images);
      }
    } catch (...) {
      queue.fail(std::current_exception());
    }
  };
  std::vector<std::jthread> workers;
  try {
    for (std::int64_t i = 0; i < jobs; ++i) workers.emplace_back(work);
    std::int64_t delivered = 0;
    try {
      source.deliver(wanted, [&](RawImage image) {
        queue.push(std::move(image));
        if (++delivered == most) throw Stopped();
      });
    } catch (const Stopped&) {  // enough, or a worker failed and its error is in the queue
    }
    queue.flush();
  } catch (const Stopped&) {
  } catch (...) {
    queue.fail(std::current_exception());
  }
  queue.finish();
  workers.clear();
  if (const auto error = queue.error()) std::rethrow_exception(error);
}

}  // namespace gondola
