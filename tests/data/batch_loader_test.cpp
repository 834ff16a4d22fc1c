#include "data/batch_loader.hpp"

#include <chrono>
#include <memory>
#include <thread>

#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using BatchLoaders = DataTest;

/// What a loader handed out, copied.
struct Copied {
  Cursor cursor;
  std::int64_t first_position;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> ids, labels;
  bool operator==(const Copied&) const = default;
};

Copied copy_of(const Batch& batch) {
  EXPECT_EQ(batch.images, static_cast<std::int64_t>(batch.ids.size()));
  return {batch.cursor,
          batch.first_position,
          {batch.pixels.begin(), batch.pixels.end()},
          {batch.ids.begin(), batch.ids.end()},
          {batch.labels.begin(), batch.labels.end()}};
}

std::vector<Copied> take(BatchLoader& loader, int count) {
  std::vector<Copied> batches;
  for (int i = 0; i < count; ++i) batches.push_back(copy_of(loader.next()));
  return batches;
}

TEST(Slices, of_all_ranks_make_the_batch) {
  for (const std::int64_t batch : {1, 2, 5, 50, 64, 100}) {
    for (const std::int64_t world : {1, 2, 3, 4, 7, 64, 200}) {
      std::int64_t end = 0;
      for (std::int64_t rank = 0; rank < world; ++rank) {
        const Slice slice = slice_of(batch, rank, world);
        ASSERT_EQ(slice.begin, end);
        ASSERT_GE(slice.size(), batch / world);
        ASSERT_LE(slice.size(), batch / world + 1);
        end = slice.end;
      }
      ASSERT_EQ(end, batch) << world;
    }
  }
}

TEST_F(BatchLoaders, slices_of_any_world_put_together_are_the_same_batches) {
  const auto source = open_source(make_dataset("a.h5", 103), Split::kTrain, CacheKind::kNone);
  constexpr int kBatches = 25;  // 10 an epoch: into the third
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kBlocks, Shuffle::kNone}) {
    LoaderOptions options{.shuffle = shuffle, .block_images = 8, .seed = 3, .batch_size = 10};
    BatchLoader alone(*source, options);
    EXPECT_EQ(alone.batches_per_epoch(), 10);
    const auto whole = take(alone, kBatches);
    for (const std::int64_t world : {1, 2, 3, 4, 7, 12}) {
      std::vector<Copied> joined(kBatches);
      for (std::int64_t rank = 0; rank < world; ++rank) {
        options.rank = rank;
        options.world = world;
        BatchLoader loader(*source, options);
        const auto part = take(loader, kBatches);
        for (std::size_t k = 0; k < kBatches; ++k) {
          ASSERT_EQ(part[k].first_position,
                    part[k].cursor.batch * 10 + static_cast<std::int64_t>(joined[k].ids.size()));
          if (rank == 0) {
            joined[k] = part[k];
            continue;
          }
          ASSERT_EQ(part[k].cursor, joined[k].cursor);
          joined[k].pixels.insert(joined[k].pixels.end(), part[k].pixels.begin(),
                                  part[k].pixels.end());
          joined[k].ids.insert(joined[k].ids.end(), part[k].ids.begin(), part[k].ids.end());
          joined[k].labels.insert(joined[k].labels.end(), part[k].labels.begin(),
                                  part[k].labels.end());
        }
      }
      ASSERT_EQ(joined, whole) << "world " << world;
    }
  }
}

TEST_F(BatchLoaders, a_batch_is_its_part_of_the_order_under_every_cache) {
  make_dataset("s1.h5", 40, 0, 0);
  make_dataset("s2.h5", 63, 0, 40);
  make_foreign("packed.h5", {103, 2, 3, 4}, H5T_NATIVE_UINT8, /*packed=*/true);
  for (const std::string& path :
       {in_folder("s*.h5"), in_folder("packed.h5"), std::string("synthetic:103x2x3x4")}) {
    for (const CacheKind cache : {CacheKind::kNone, CacheKind::kHost, CacheKind::kDevice}) {
      const auto source = open_source(path, Split::kTrain, cache);
      const auto direct = open_source(path, Split::kTrain, CacheKind::kNone);
      const LoaderOptions options{
          .seed = 5, .batch_size = 20, .reader_threads = 3, .prefetch_batches = 1};
      BatchLoader loader(*source, options);
      const SampleOrder order(Shuffle::kFull, 1024, 5, 103);
      for (std::int64_t k = 0; k < 12; ++k) {
        const Cursor cursor{k / 5, k % 5};
        ASSERT_EQ(loader.cursor(), cursor);
        const Copied batch = copy_of(loader.next());
        std::vector<std::int64_t> ids(20);
        order.fill(cursor.epoch, cursor.batch * 20, ids);
        ASSERT_EQ(batch.cursor, cursor);
        ASSERT_EQ(batch.ids, ids);
        ASSERT_EQ(loader.global_ids(cursor), ids);
        ASSERT_EQ(batch.pixels, read_ids(*direct, ids));
        ASSERT_EQ(batch.labels.size(), source->has_labels() ? 20U : 0U);
        for (std::size_t i = 0; i < batch.labels.size(); ++i)
          ASSERT_EQ(batch.labels[i], direct->label(ids[i]));
      }
    }
  }
}

TEST_F(BatchLoaders, any_number_of_threads_hands_out_the_same_batches) {
  const auto source = open_source(make_dataset("a.h5", 103), Split::kTrain, CacheKind::kNone);
  LoaderOptions options{.seed = 9, .batch_size = 10, .reader_threads = 0};
  BatchLoader alone(*source, options);
  const auto whole = take(alone, 40);
  for (const std::int64_t threads : {1, 2, 5}) {
    for (const std::int64_t ahead : {1, 7}) {
      options.reader_threads = threads;
      options.prefetch_batches = ahead;
      BatchLoader loader(*source, options);
      ASSERT_EQ(take(loader, 40), whole) << threads << " threads, " << ahead << " ahead";
    }
  }
}

TEST_F(BatchLoaders, values_are_the_bytes_divided_by_255_on_whole_cache_lines) {
  make_foreign("packed.h5", {103, 2, 3, 4}, H5T_NATIVE_UINT8, /*packed=*/true);
  const std::string plain = make_dataset("a.h5", 103);
  for (const auto& [path, cache] :
       {std::pair(plain, CacheKind::kNone), std::pair(plain, CacheKind::kHost),
        std::pair(in_folder("packed.h5"), CacheKind::kNone),
        std::pair(std::string("synthetic:103x2x3x4"), CacheKind::kNone)}) {
    const auto source = open_source(path, Split::kTrain, cache);
    LoaderOptions options{.seed = 4, .batch_size = 10};
    BatchLoader bytes(*source, options);
    options.pixels = PixelForm::kValues;
    BatchLoader values(*source, options);
    for (int k = 0; k < 30; ++k) {
      const Batch one = bytes.next(), other = values.next();
      ASSERT_EQ(one.cursor, other.cursor);
      ASSERT_TRUE(other.pixels.empty() && one.values.empty());
      ASSERT_EQ(one.pixels.size(), other.values.size());
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(other.values.data()) % 64, 0U);
      for (std::size_t i = 0; i < one.pixels.size(); ++i) {
        ASSERT_EQ(other.values[i], static_cast<float>(one.pixels[i]) / 255.0F);
      }
    }
  }
}

TEST_F(BatchLoaders, picked_pixels_are_those_of_whole_images_batch_by_batch) {
  const auto source = open_source(make_dataset("a.h5", 103), Split::kTrain, CacheKind::kNone);
  LoaderOptions options{.seed = 4, .batch_size = 10};
  BatchLoader whole(*source, options);
  options.pick = {.count = 5, .of = [](Cursor cursor) {
                    std::vector<std::int64_t> pixels;  // each batch its own
                    for (std::int64_t i = 0; i < 5; ++i) {
                      pixels.push_back((7 * i + cursor.batch + 3 * cursor.epoch) % 12);
                    }
                    return pixels;
                  }};
  BatchLoader bytes(*source, options);
  options.pixels = PixelForm::kValues;
  BatchLoader values(*source, options);
  for (int k = 0; k < 30; ++k) {
    const Batch all = whole.next(), some = bytes.next(), other = values.next();
    ASSERT_EQ(some.cursor, all.cursor);
    ASSERT_TRUE(std::equal(some.ids.begin(), some.ids.end(), all.ids.begin(), all.ids.end()));
    ASSERT_EQ(some.pixels.size(), std::size_t{10 * 2 * 5});
    ASSERT_EQ(other.values.size(), some.pixels.size());
    const auto pixels = options.pick.of(all.cursor);
    for (std::size_t i = 0; i < some.pixels.size(); ++i) {
      const std::size_t plane = i / 5;  // image and channel
      ASSERT_EQ(some.pixels[i], all.pixels[plane * 12 + static_cast<std::size_t>(pixels[i % 5])]);
      ASSERT_EQ(other.values[i], static_cast<float>(some.pixels[i]) / 255.0F);
    }
  }
}

TEST_F(BatchLoaders, seek_continues_as_if_never_stopped_at_any_world) {
  const auto source = open_source(make_dataset("a.h5", 50), Split::kTrain, CacheKind::kNone);
  LoaderOptions options{.seed = 1, .batch_size = 8};
  BatchLoader undisturbed(*source, options);
  const auto whole = take(undisturbed, 20);
  BatchLoader loader(*source, options);
  for (const std::size_t stop : {7U, 3U, 0U, 19U, 5U, 6U}) {
    loader.seek(whole[stop].cursor);
    EXPECT_EQ(loader.cursor(), whole[stop].cursor);
    for (std::size_t k = stop; k < std::min<std::size_t>(20, stop + 4); ++k) {
      ASSERT_EQ(copy_of(loader.next()), whole[k]) << "after seeking to " << stop;
    }
    EXPECT_EQ(undisturbed.cursor(), (Cursor{3, 2}));
  }
  options.world = 2;
  options.rank = 1;
  BatchLoader half(*source, options);
  half.seek(whole[9].cursor);
  EXPECT_EQ(copy_of(half.next()).ids,
            std::vector<std::int64_t>(whole[9].ids.begin() + 4, whole[9].ids.end()));
}

TEST_F(BatchLoaders, seeking_in_mid_read_mixes_nothing_into_the_new_batches) {
  const auto source = open_source("synthetic:400x3x32x32", Split::kTrain, CacheKind::kNone);
  BatchLoader loader(*source, {.seed = 2, .batch_size = 64, .reader_threads = 3});
  for (std::int64_t round = 0; round < 60; ++round) {
    const Cursor cursor{round, round % 6};
    loader.seek({round + 1000, 0});
    std::this_thread::sleep_for(std::chrono::microseconds(100 * (round % 7)));
    loader.seek(cursor);
    const Copied batch = copy_of(loader.next());
    ASSERT_EQ(batch.cursor, cursor);
    ASSERT_EQ(batch.ids, loader.global_ids(cursor));
    ASSERT_EQ(batch.pixels, read_ids(*source, batch.ids)) << "round " << round;
  }
}

TEST_F(BatchLoaders, seeking_a_batch_that_no_epoch_has_is_refused) {
  const auto source = open_source("synthetic:50x1x4x4", Split::kTrain, CacheKind::kNone);
  BatchLoader loader(*source, {.batch_size = 8});
  EXPECT_THAT(complaint<DataError>([&] {
                loader.seek({1, 6});
              }),
              AllOf(HasSubstr("batch 6 in epoch 1"), HasSubstr("6 batches an epoch")));
  EXPECT_EQ(loader.next().cursor, (Cursor{0, 0})) << "nothing changed";
}

TEST_F(BatchLoaders, fewer_images_than_the_batch_are_refused) {
  const auto source = open_source("synthetic:50x1x4x4", Split::kTrain, CacheKind::kNone);
  EXPECT_THAT(complaint<DataError>([&] { BatchLoader loader(*source, {.batch_size = 51}); }),
              AllOf(HasSubstr("50 images"), HasSubstr("batch size of 51")));
  EXPECT_EQ(BatchLoader(*source, {.batch_size = 50}).batches_per_epoch(), 1);
}

TEST_F(BatchLoaders, what_a_reader_throws_comes_out_of_next_for_its_batch) {
  const std::string path = make_dataset("a.h5", 500);
  const auto source = open_source(path, Split::kTrain, CacheKind::kNone);
  const SplitInfo info = *DatasetFile(path).split(Split::kTrain);
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(info.offset_bytes + 250 * 24));
  BatchLoader loader(*source, {.shuffle = Shuffle::kNone, .batch_size = 100});
  (void)take(loader, 2);
  for (int again = 0; again < 2; ++again) {
    EXPECT_THAT(complaint<DataError>([&] { (void)loader.next(); }), HasSubstr("was cut"));
    EXPECT_EQ(loader.cursor(), (Cursor{0, 2}));
  }
  loader.seek({0, 1});
  EXPECT_EQ(copy_of(loader.next()).pixels, test_images(100, 100, 24));
}

TEST_F(BatchLoaders, the_spans_of_a_batch_stay_until_the_next_one) {
  const auto source = open_source("synthetic:64x1x8x8", Split::kTrain, CacheKind::kNone);
  BatchLoader loader(*source, {.batch_size = 4, .prefetch_batches = 1});
  for (int k = 0; k < 40; ++k) {
    const Batch batch = loader.next();
    const Copied before = copy_of(batch);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the readers run ahead meanwhile
    ASSERT_EQ(copy_of(batch), before);
  }
}

TEST_F(BatchLoaders, ends_promptly_in_mid_flight) {
  using Clock = std::chrono::steady_clock;
  const auto source = open_source("synthetic:10000x1x64x64", Split::kTrain, CacheKind::kNone);
  const LoaderOptions options{.batch_size = 10000, .prefetch_batches = 1};
  BatchLoader whole(*source, options);
  auto start = Clock::now();
  (void)whole.next();
  const auto whole_batch = Clock::now() - start;

  auto cut_short = std::make_unique<BatchLoader>(*source, options);
  start = Clock::now();
  cut_short.reset();
  EXPECT_LT(Clock::now() - start, whole_batch / 4);
}

}  // namespace
}  // namespace gondola
