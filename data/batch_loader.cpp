#include "data/batch_loader.hpp"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "configs/errors.hpp"
#include "data/available_memory.hpp"
#include "data/pixel_values.hpp"

namespace gondola {

Slice slice_of(std::int64_t batch_size, std::int64_t rank, std::int64_t world) {
  assert(world >= 1 && rank >= 0 && rank < world);
  return {rank * batch_size / world, (rank + 1) * batch_size / world};
}

namespace {

/// Small batches are read several at a time where there are threads to be woken for them.
std::int64_t batches_in_a_group(std::int64_t pixel_bytes, std::int64_t readers) {
  constexpr std::int64_t kGroupBytes = std::int64_t{1} << 18, kMostBatches = 64;
  if (readers == 0) return 1;
  return std::clamp<std::int64_t>(kGroupBytes / std::max<std::int64_t>(pixel_bytes, 1), 1,
                                  kMostBatches);
}

/// Images that a thread takes at once: a group, or so much of it that threads share a batch to its
/// end, so that few batches are under way at a time and what is written stays in the cache.
std::int64_t piece_size(std::int64_t group_images, std::int64_t image_bytes) {
  constexpr std::int64_t kPieceBytes = std::int64_t{1} << 17;
  return std::clamp<std::int64_t>(group_images, 1,
                                  std::max<std::int64_t>(1, kPieceBytes / image_bytes));
}

/// The group in use, and enough to read ahead.
std::size_t number_of_groups(std::int64_t prefetch_batches, std::int64_t group_batches) {
  const std::int64_t ahead = (prefetch_batches + group_batches - 1) / group_batches;
  return static_cast<std::size_t>(std::max<std::int64_t>(ahead, group_batches > 1 ? 2 : 1)) + 1;
}

std::int64_t bytes_of(PixelForm form) {
  return form == PixelForm::kValues ? std::int64_t{sizeof(float)} : 1;
}

/// Whether storage is to fetch whole windows: not where this machine reads but a small part of
/// each, nor where the one in use and the one ahead would crowd each other out of its memory.
bool windows_are_worth_fetching(const ImageSource& source, const LoaderOptions& options,
                                const SampleOrder& order) {
  constexpr std::int64_t kSmallPart = 4;
  if (options.shuffle != Shuffle::kBlocks) return false;
  if (options.node_ranks * kSmallPart < options.world) return false;
  const auto images = std::min(source.images(), 2 * order.window_images());
  return images * source.image_bytes() <= available_memory_bytes() / 2;
}

}  // namespace

void require_a_batch(const ImageSource& source, std::int64_t batch_size) {
  if (source.images() >= batch_size) return;
  throw DataError(source.name() + " has " + std::to_string(source.images()) +
                  " images, fewer than the batch size of " + std::to_string(batch_size) +
                  "; use a smaller trainer.batch_size or more images");
}

BatchLoader::BatchLoader(const ImageSource& source, const LoaderOptions& options)
    : source_(source),
      options_(options),
      order_(options.shuffle, options.block_images, options.seed, source.images()),
      slice_(slice_of(options.batch_size, options.rank, options.world)),
      image_values_(options.pick.count > 0 ? source.channels() * options.pick.count
                                           : source.image_bytes()),
      batch_stride_(static_cast<std::int64_t>(AlignedBytes::rounded_up(
          static_cast<std::size_t>(slice_.size() * image_values_ * bytes_of(options.pixels))))),
      group_batches_(batches_in_a_group(slice_.size() * image_values_, options.reader_threads)),
      piece_images_(piece_size(slice_.size() * group_batches_, image_values_)),
      batches_per_epoch_(source.images() / options.batch_size) {
  assert(options.batch_size >= 1 && options.reader_threads >= 0 && options.prefetch_batches >= 1);
  require_a_batch(source, options.batch_size);
  const auto batches = static_cast<std::size_t>(group_batches_);
  const auto images = batches * static_cast<std::size_t>(slice_.size());
  groups_.resize(number_of_groups(options.prefetch_batches, group_batches_));
  for (Group& group : groups_) {
    group.cursors.resize(batches);
    group.ids.resize(images);
    group.labels.resize(source.has_labels() ? images : 0);
    group.pixels = AlignedBytes(batches * static_cast<std::size_t>(batch_stride_));
    group.finished.resize(batches);
    group.errors.resize(batches);
  }
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    free_.push_back(i);
  }
  started_.reserve(groups_.size());
  if (slice_.size() > 0 && windows_are_worth_fetching(source, options, order_)) {
    constexpr std::int64_t kPartBytes = std::int64_t{1} << 23;
    const auto on_node = options.rank % options.node_ranks;
    ahead_.emplace(order_, batches_per_epoch_ * options.batch_size,
                   std::max<std::int64_t>(1, kPartBytes / source.image_bytes()),
                   static_cast<double>(on_node) / static_cast<double>(options.node_ranks));
  }
  try {
    for (std::int64_t i = 0; i < options.reader_threads; ++i) {
      readers_.emplace_back([this] { read_until_stopped(); });
    }
  } catch (...) {
    stop_readers();
    throw;
  }
}

BatchLoader::~BatchLoader() { stop_readers(); }

void BatchLoader::stop_readers() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& reader : readers_) {
    reader.join();
  }
}

Cursor BatchLoader::after(Cursor cursor) const {
  ++cursor.batch;
  return cursor.batch < batches_per_epoch_ ? cursor : Cursor{cursor.epoch + 1, 0};
}

std::vector<std::int64_t> BatchLoader::global_ids(Cursor cursor) const {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(options_.batch_size));
  order_.fill(cursor.epoch, cursor.batch * options_.batch_size, ids);
  return ids;
}

bool BatchLoader::head_is_ready() const {
  return !started_.empty() &&
         groups_[started_.front()].finished[static_cast<std::size_t>(next_in_head_)] ==
             slice_.size();
}

Batch BatchLoader::next() {
  std::unique_lock lock(mutex_);
  if (next_in_head_ == group_batches_) {  // the caller has done with the whole group
    next_in_head_ = 0;
    free_.push_back(started_.front());
    started_.erase(started_.begin());
    if (idle_readers_ > 0) {
      work_.notify_one();
    }
  }
  while (!head_is_ready()) {
    if (may_claim()) {
      read_next_piece(lock);
    } else {
      waiting_ = true;
      progress_.wait(lock);
      waiting_ = false;
    }
  }
  const Group& group = groups_[started_.front()];
  const auto index = static_cast<std::size_t>(next_in_head_);
  if (group.errors[index]) {
    std::rethrow_exception(group.errors[index]);
  }
  ++next_in_head_;

  Batch batch;
  batch.cursor = group.cursors[index];
  batch.first_position = batch.cursor.batch * options_.batch_size + slice_.begin;
  batch.images = slice_.size();
  const auto images = static_cast<std::size_t>(slice_.size());
  const auto values = images * static_cast<std::size_t>(image_values_);
  const std::byte* const pixels =
      group.pixels.data() + index * static_cast<std::size_t>(batch_stride_);
  if (options_.pixels == PixelForm::kValues) {
    batch.values = {reinterpret_cast<const float*>(pixels), values};
  } else {
    batch.pixels = {reinterpret_cast<const std::uint8_t*>(pixels), values};
  }
  batch.ids = std::span<const std::int64_t>(group.ids).subspan(index * images, images);
  if (!group.labels.empty()) {
    batch.labels = std::span<const std::int64_t>(group.labels).subspan(index * images, images);
  }
  cursor_ = after(batch.cursor);
  return batch;
}

void BatchLoader::seek(Cursor cursor) {
  if (cursor.epoch < 0 || cursor.batch < 0 || cursor.batch >= batches_per_epoch_) {
    throw DataError("there is no batch " + std::to_string(cursor.batch) + " in epoch " +
                    std::to_string(cursor.epoch) + " of " + source_.name() + ", which has " +
                    std::to_string(batches_per_epoch_) +
                    " batches an epoch; resume with the dataset and batch size of the checkpoint");
  }
  std::unique_lock lock(mutex_);
  paused_ = true;
  waiting_ = true;
  progress_.wait(lock, [&] { return reading_ == 0; });
  waiting_ = false;
  while (!started_.empty()) {
    free_.push_back(started_.back());
    started_.pop_back();
  }
  next_in_head_ = 0;
  cursor_ = cursor;
  next_to_start_ = cursor;
  if (ahead_) ahead_->restart();
  paused_ = false;
  work_.notify_all();
}

bool BatchLoader::has_unclaimed_images() const {
  return !started_.empty() && groups_[started_.back()].claimed < group_batches_ * slice_.size();
}

bool BatchLoader::may_claim() const {
  return !paused_ && (has_unclaimed_images() || !free_.empty());
}

bool BatchLoader::may_fetch_ahead() const { return !paused_ && ahead_ && ahead_->has_due(); }

/// Throws nothing, for readers call it too: what fails comes out of next(), for its batch.
void BatchLoader::start_group() {
  started_.push_back(free_.back());
  free_.pop_back();
  Group& group = groups_[started_.back()];
  group.claimed = 0;
  for (std::size_t b = 0; b < group.cursors.size(); ++b) {
    group.cursors[b] = next_to_start_;
    group.finished[b] = 0;
    group.errors[b] = nullptr;
    if (ahead_) {
      const std::int64_t first = next_to_start_.batch * options_.batch_size;
      try {
        ahead_->begin(next_to_start_.epoch, first, first + options_.batch_size);
      } catch (...) {
        group.errors[b] = std::current_exception();
      }
    }
    next_to_start_ = after(next_to_start_);
  }
}

void BatchLoader::read_until_stopped() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_readers_;
    work_.wait(lock, [&] { return stop_ || may_claim() || may_fetch_ahead(); });
    --idle_readers_;
    if (stop_) {
      return;
    }
    if (may_fetch_ahead()) {
      fetch_part(lock);
    } else {
      read_next_piece(lock);
    }
  }
}

/// Has storage fetch one part. REQUIRES one that is due, and the lock, which is given up meanwhile.
void BatchLoader::fetch_part(std::unique_lock<std::mutex>& lock) {
  const ImageRun part = ahead_->take();
  ++reading_;
  wake_another_reader();
  lock.unlock();
  try {
    source_.fetch(part.first, part.images);
  } catch (...) {  // what cannot be read, read() tells
  }
  lock.lock();
  --reading_;
  if (waiting_ && paused_) {
    progress_.notify_all();
  }
}

void BatchLoader::wake_another_reader() {
  if (idle_readers_ > 0 && (may_claim() || may_fetch_ahead())) {
    work_.notify_one();
  }
}

/// Claims a piece of the newest group, or of a new one, and reads it; or fetches a part that the
/// group needs. REQUIRES may_claim() and the lock, which is given up meanwhile.
void BatchLoader::read_next_piece(std::unique_lock<std::mutex>& lock) {
  if (!has_unclaimed_images()) {
    start_group();
  }
  if (ahead_ && (options_.reader_threads == 0 ? ahead_->has_due() : ahead_->has_needed())) {
    fetch_part(lock);
    return;
  }
  Group& group = groups_[started_.back()];
  const std::int64_t images = group_batches_ * slice_.size();
  const Piece piece{group.claimed, std::min(images, group.claimed + piece_images_)};
  group.claimed = piece.end;
  ++reading_;
  wake_another_reader();

  lock.unlock();
  read_piece(group, piece);
  lock.lock();

  --reading_;
  for (std::int64_t image = piece.begin; image < piece.end;) {
    const std::int64_t batch = image / slice_.size();
    const std::int64_t end = std::min(piece.end, (batch + 1) * slice_.size());
    group.finished[static_cast<std::size_t>(batch)] += end - image;
    image = end;
  }
  if (waiting_ && (paused_ || head_is_ready())) {
    progress_.notify_all();
  }
}

void BatchLoader::read_piece(Group& group, Piece piece) const {
  for (std::int64_t image = piece.begin; image < piece.end;) {
    const std::int64_t batch = image / slice_.size();
    const std::int64_t begin = batch * slice_.size();
    const Piece part{image - begin, std::min(piece.end - begin, slice_.size())};
    try {
      read_part(group, batch, part);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      auto& error = group.errors[static_cast<std::size_t>(batch)];
      if (!error) error = std::current_exception();
    }
    image = begin + part.end;
  }
}

/// Images [begin, end) of one batch's slice.
void BatchLoader::read_part(Group& group, std::int64_t batch, Piece part) const {
  const Cursor cursor = group.cursors[static_cast<std::size_t>(batch)];
  const auto place = static_cast<std::size_t>(batch * slice_.size() + part.begin);
  const auto count = static_cast<std::size_t>(part.end - part.begin);
  const auto ids = std::span(group.ids).subspan(place, count);
  order_.fill(cursor.epoch, cursor.batch * options_.batch_size + slice_.begin + part.begin, ids);

  const auto values = static_cast<std::size_t>(image_values_);
  std::byte* const memory = group.pixels.data() + batch * batch_stride_ +
                            part.begin * image_values_ * bytes_of(options_.pixels);
  const std::span as_bytes(reinterpret_cast<std::uint8_t*>(memory), count * values);
  const std::span as_values(reinterpret_cast<float*>(memory), count * values);
  const bool picks = options_.pick.count > 0;
  if (picks && options_.pixels == PixelForm::kValues) {
    std::vector<std::uint8_t> picked(count * values);
    source_.pick(ids, options_.pick.of(cursor), picked);
    bytes_to_values(picked, as_values);
  } else if (picks) {
    source_.pick(ids, options_.pick.of(cursor), as_bytes);
  } else if (options_.pixels == PixelForm::kValues) {
    source_.read_values(ids, as_values);
  } else {
    source_.read(ids, as_bytes);
  }
  if (!group.labels.empty()) {
    std::transform(ids.begin(), ids.end(),
                   group.labels.begin() + static_cast<std::ptrdiff_t>(place),
                   [this](std::int64_t id) { return source_.label(id); });
  }
}

}  // namespace gondola
