#include "data/batch_loader.hpp"

#include <algorithm>
#include <cassert>
#include <string>

#include "configs/errors.hpp"

namespace gondola {

Slice slice_of(std::int64_t batch_size, std::int64_t rank, std::int64_t world) {
  assert(world >= 1 && rank >= 0 && rank < world);
  return {rank * batch_size / world, (rank + 1) * batch_size / world};
}

namespace {

/// Images that a reader takes at once: a share of the slice, small enough to stop soon.
std::int64_t piece_size(std::int64_t slice_images, std::int64_t readers) {
  constexpr std::int64_t kMostImages = 64;
  return std::clamp<std::int64_t>((slice_images + readers - 1) / readers, 1, kMostImages);
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
      piece_images_(piece_size(slice_.size(), options.reader_threads)),
      batches_per_epoch_(source.images() / options.batch_size) {
  assert(options.batch_size >= 1 && options.reader_threads >= 1 && options.prefetch_batches >= 1);
  require_a_batch(source, options.batch_size);
  const auto images = static_cast<std::size_t>(slice_.size());
  slots_.resize(static_cast<std::size_t>(options.prefetch_batches) + 1);
  for (Slot& slot : slots_) {
    slot.ids.resize(images);
    slot.labels.resize(source.has_labels() ? images : 0);
    slot.pixels.resize(images * static_cast<std::size_t>(source.image_bytes()));
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

Batch BatchLoader::next() {
  std::unique_lock lock(mutex_);
  if (handed_out_) {
    handed_out_ = false;
    work_.notify_all();
  }
  Slot& slot = slots_[head_];
  progress_.wait(lock, [&] { return started_ > 0 && slot.finished_images == slice_.size(); });
  if (slot.error) {
    std::rethrow_exception(slot.error);
  }
  head_ = (head_ + 1) % slots_.size();
  --started_;
  handed_out_ = true;
  cursor_ = after(slot.cursor);

  Batch batch;
  batch.cursor = slot.cursor;
  batch.first_position = slot.cursor.batch * options_.batch_size + slice_.begin;
  batch.images = slice_.size();
  batch.pixels = slot.pixels;
  batch.ids = slot.ids;
  batch.labels = slot.labels;
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
  progress_.wait(lock, [&] { return reading_ == 0; });
  head_ = 0;
  started_ = 0;
  handed_out_ = false;
  cursor_ = cursor;
  next_to_start_ = cursor;
  paused_ = false;
  work_.notify_all();
}

bool BatchLoader::has_unclaimed_images() const {
  return started_ > 0 && newest_slot().claimed_images < slice_.size();
}

bool BatchLoader::may_claim() const {
  const std::size_t in_use = started_ + (handed_out_ ? 1 : 0);
  return !paused_ && (has_unclaimed_images() || in_use < slots_.size());
}

void BatchLoader::start_slot() {
  ++started_;
  Slot& slot = newest_slot();
  slot.cursor = next_to_start_;
  slot.claimed_images = 0;
  slot.finished_images = 0;
  slot.error = nullptr;
  next_to_start_ = after(next_to_start_);
  order_.fill(slot.cursor.epoch, slot.cursor.batch * options_.batch_size + slice_.begin, slot.ids);
}

void BatchLoader::read_until_stopped() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [&] { return stop_ || may_claim(); });
    if (stop_) {
      return;
    }
    if (!has_unclaimed_images()) {
      start_slot();
      progress_.notify_all();  // an empty slice is complete at once
      work_.notify_all();
      continue;
    }
    Slot& slot = newest_slot();
    const std::int64_t first = slot.claimed_images;
    const std::int64_t images = std::min(piece_images_, slice_.size() - first);
    slot.claimed_images += images;
    ++reading_;

    lock.unlock();
    std::exception_ptr error;
    try {
      read_piece(slot, first, images);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();

    --reading_;
    slot.finished_images += images;
    if (error && !slot.error) {
      slot.error = error;
    }
    progress_.notify_all();
  }
}

void BatchLoader::read_piece(Slot& slot, std::int64_t first, std::int64_t images) const {
  const auto begin = static_cast<std::size_t>(first);
  const auto count = static_cast<std::size_t>(images);
  const auto bytes = static_cast<std::size_t>(source_.image_bytes());
  const auto ids = std::span(slot.ids).subspan(begin, count);
  source_.read(ids, std::span(slot.pixels).subspan(begin * bytes, count * bytes));
  if (source_.has_labels()) {
    std::transform(ids.begin(), ids.end(), slot.labels.begin() + first,
                   [this](std::int64_t id) { return source_.label(id); });
  }
}

}  // namespace gondola
