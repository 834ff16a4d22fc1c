#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "configs/run_config.hpp"
#include "data/aligned_bytes.hpp"
#include "data/fetch_ahead.hpp"
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
  /// [images, C, H, W], or [images, C, K] of picked pixels; empty under PixelForm::kValues.
  std::span<const std::uint8_t> pixels;
  std::span<const float> values;         ///< The same divided by 255; empty under kBytes.
  std::span<const std::int64_t> ids;     ///< Global image ids, [images].
  std::span<const std::int64_t> labels;  ///< [images], or empty where the dataset has none.
};

/// What a batch is made of.
enum class PixelForm {
  kBytes,   ///< As stored: a quarter of the memory, for who converts them in parts or on a device.
  kValues,  ///< float32 in [0, 1], converted as they are read.
};

/// Reads only some pixels of each image: all batches as many, each its own.
struct PixelPick {
  std::int64_t count = 0;                               ///< K; 0: whole images are read.
  std::function<std::vector<std::int64_t>(Cursor)> of;  ///< Row-major pixels [K]; any thread calls.
};

struct LoaderOptions {
  Shuffle shuffle = Shuffle::kFull;
  std::int64_t block_images = 1024;  ///< Run length of Shuffle::kBlocks.
  std::uint64_t seed = 0;
  std::int64_t batch_size = 64;  ///< Global batch B.
  std::int64_t rank = 0;
  std::int64_t world = 1;             ///< W ranks; 0 <= rank < W.
  std::int64_t reader_threads = 2;    ///< That read ahead; 0: next() reads what it hands out.
  std::int64_t prefetch_batches = 2;  ///< Read ahead of the batch in use, at the least; from 1 on.
  PixelForm pixels = PixelForm::kBytes;
  PixelPick pick{};
  std::int64_t node_ranks = 1;  ///< Of the W, on this node: what they read, its disk cache keeps.
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
/// Reader threads of its own fill the batches ahead, several small ones at a time, so that what it
/// costs to wake a thread is shared by many images; where a batch is not there yet, next() reads
/// along with them. The memory that was freed last is filled first: it is still in the cache. One
/// thread calls next(), seek() and cursor(); the source must outlive the loader. Not collective.
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
  /// Consecutive batches that are read as one.
  struct Group {
    std::vector<Cursor> cursors;             ///< Of each batch.
    std::vector<std::int64_t> ids;           ///< [batches * slice]
    std::vector<std::int64_t> labels;        ///< Likewise, or empty.
    AlignedBytes pixels;                     ///< Batch b begins at b * batch_stride_.
    std::vector<std::int64_t> finished;      ///< Images read, of each batch.
    std::vector<std::exception_ptr> errors;  ///< Of each batch.
    std::int64_t claimed = 0;                ///< Images that some reader has taken.
  };

  /// Images [begin, end) of a group, counted through its batches, that one reader reads at once.
  struct Piece {
    std::int64_t begin = 0, end = 0;
  };

  void read_until_stopped();
  void stop_readers() noexcept;
  void start_group();
  void fetch_part(std::unique_lock<std::mutex>& lock);
  void wake_another_reader();
  void read_next_piece(std::unique_lock<std::mutex>& lock);
  void read_piece(Group& group, Piece piece) const;
  void read_part(Group& group, std::int64_t batch, Piece part) const;
  [[nodiscard]] bool may_claim() const;
  [[nodiscard]] bool may_fetch_ahead() const;
  [[nodiscard]] bool has_unclaimed_images() const;
  [[nodiscard]] bool head_is_ready() const;
  [[nodiscard]] Cursor after(Cursor cursor) const;

  const ImageSource& source_;
  const LoaderOptions options_;
  const SampleOrder order_;
  const Slice slice_;
  const std::int64_t image_values_;  ///< That are read of an image.
  const std::int64_t batch_stride_;  ///< Bytes of one batch in memory, on whole cache lines.
  const std::int64_t group_batches_;
  const std::int64_t piece_images_;
  std::int64_t batches_per_epoch_ = 0;
  Cursor cursor_;                  ///< Touched by the caller's thread only, as is the next.
  std::int64_t next_in_head_ = 0;  ///< Batch of the head group that next() hands out.

  // All below is guarded by mutex_, but for the parts of groups that a reader has claimed or that
  // next() has handed out.
  mutable std::mutex mutex_;
  std::condition_variable work_;      ///< There may be something to read, or stop.
  std::condition_variable progress_;  ///< What next() or seek() waits for has come.
  std::vector<Group> groups_;
  std::vector<std::size_t> free_;     ///< Groups not in use, the one freed last at the back.
  std::vector<std::size_t> started_;  ///< Groups read, being read or handed out, in their order.
  Cursor next_to_start_;
  std::optional<FetchAhead> ahead_;  ///< Of an order whose windows are worth fetching.
  std::int64_t reading_ = 0;         ///< Pieces being read, or fetched, at this moment.
  int idle_readers_ = 0;
  bool waiting_ = false;  ///< next() or seek() sleeps.
  bool paused_ = false;
  bool stop_ = false;

  std::vector<std::thread> readers_;
};

}  // namespace gondola
