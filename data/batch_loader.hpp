#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"
#include "data/sample_order.hpp"

namespace gondola {

/// Where training stands in the data: the same on all ranks and for any number of ranks.
struct Cursor {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;  ///< Index in the epoch of the next global batch.
  bool operator==(const Cursor&) const = default;
};

/// This rank's slice of one global batch. The spans live until the next call of next() or seek().
struct Batch {
  Cursor cursor;                    ///< Of this batch.
  std::int64_t first_position = 0;  ///< Position in the epoch's order of this rank's first image.
  std::int64_t images = 0;          ///< Of this rank; may be 0.
  std::span<const std::uint8_t> pixels;  ///< [images, C, H, W]
  std::span<const std::int64_t> ids;     ///< Global image ids, [images].
  std::span<const std::int64_t> labels;  ///< [images], or empty where the dataset has none.
};

struct LoaderOptions {
  Shuffle shuffle = Shuffle::kFull;
  std::int64_t block_images = 1024;  ///< Run length of Shuffle::kBlocks.
  std::uint64_t seed = 0;
  std::int64_t batch_size = 64;  ///< Global batch B.
  std::int64_t rank = 0;
  std::int64_t world = 1;             ///< W ranks; 0 <= rank < W.
  std::int64_t reader_threads = 2;    ///< At least 1.
  std::int64_t prefetch_batches = 2;  ///< Read ahead of the batch in use; at least 1.
};

/// Part of a global batch that one rank takes: positions [begin, end) of 0..B-1.
struct Slice {
  std::int64_t begin = 0, end = 0;
  [[nodiscard]] std::int64_t size() const { return end - begin; }
};

/// [rank*B/W, (rank+1)*B/W), rounded down: the slices of all ranks put together are the batch.
[[nodiscard]] Slice slice_of(std::int64_t batch_size, std::int64_t rank, std::int64_t world);

/// @throws DataError where the source has fewer images than a global batch
void require_a_batch(const ImageSource& source, std::int64_t batch_size);

/// Hands out this rank's slices of the global batches of one epoch after the other. Global batch k
/// of an epoch is positions kB..kB+B-1 of its SampleOrder; an epoch is floor(N/B) batches.
///
/// Reader threads of its own fill the batches ahead. One thread calls next(), seek() and cursor();
/// the source must outlive the loader. Not collective.
class BatchLoader {
 public:
  /// @throws DataError where the source has fewer images than B
  BatchLoader(const ImageSource& source, const LoaderOptions& options);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// The batch at cursor(), which moves on by one. Waits until it is read. What a reader threw
  /// comes out here, for the batch it belongs to, and again at each further call until seek().
  [[nodiscard]] Batch next();

  /// Continues at this batch; what was read ahead is dropped.
  /// @throws DataError where the epoch has no such batch
  void seek(Cursor cursor);

  /// Of the batch that next() will hand out.
  [[nodiscard]] Cursor cursor() const { return cursor_; }

  [[nodiscard]] std::int64_t batches_per_epoch() const { return batches_per_epoch_; }

  /// The ids of a whole global batch, of all ranks: [B]. For ledgers.
  [[nodiscard]] std::vector<std::int64_t> global_ids(Cursor cursor) const;

 private:
  struct Slot {
    Cursor cursor;
    std::vector<std::int64_t> ids;
    std::vector<std::int64_t> labels;
    std::vector<std::uint8_t> pixels;
    std::int64_t claimed_images = 0;
    std::int64_t finished_images = 0;
    std::exception_ptr error;
  };

  void read_until_stopped();
  void stop_readers() noexcept;
  void start_slot();
  void read_piece(Slot& slot, std::int64_t first, std::int64_t images) const;
  [[nodiscard]] bool may_claim() const;
  [[nodiscard]] bool has_unclaimed_images() const;
  [[nodiscard]] std::size_t newest() const { return (head_ + started_ - 1) % slots_.size(); }
  [[nodiscard]] Slot& newest_slot() { return slots_[newest()]; }
  [[nodiscard]] const Slot& newest_slot() const { return slots_[newest()]; }
  [[nodiscard]] Cursor after(Cursor cursor) const;

  const ImageSource& source_;
  const LoaderOptions options_;
  const SampleOrder order_;
  const Slice slice_;
  const std::int64_t piece_images_;
  std::int64_t batches_per_epoch_ = 0;
  Cursor cursor_;  ///< Touched by the caller's thread only.

  // The slots form a ring: from head_ on, started_ of them hold batches, read or being read; the
  // one before head_ may be in the caller's hands. All below is guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable work_;      ///< There may be something to read, or stop.
  std::condition_variable progress_;  ///< Something was read.
  std::vector<Slot> slots_;
  std::size_t head_ = 0;
  std::size_t started_ = 0;
  bool handed_out_ = false;
  Cursor next_to_start_;
  std::int64_t reading_ = 0;  ///< Pieces being read at this moment.
  bool paused_ = false;
  bool stop_ = false;

  std::vector<std::thread> readers_;
};

}  // namespace gondola
