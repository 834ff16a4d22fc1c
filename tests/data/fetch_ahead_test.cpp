#include "data/fetch_ahead.hpp"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "data/batch_loader.hpp"
#include "data/mapped_file.hpp"
#include "data/page_cache.hpp"
#include "data/shard_set.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::HasSubstr;

TEST(FetchAhead, what_a_batch_reads_is_fetched_before_it_in_every_epoch) {
  constexpr std::int64_t kImages = 1000, kBatch = 30, kBatches = kImages / kBatch, kEpochs = 3;
  for (const std::int64_t block : {1, 7, 20, 64, 2000}) {
    for (const double share : {0.0, 0.5}) {
      const SampleOrder order(Shuffle::kBlocks, block, 3, kImages);
      FetchAhead ahead(order, kBatch * kBatches, 5, share);
      std::vector<std::int64_t> fetched(kImages), read(kImages);  // how many times
      std::int64_t sum = 0;
      for (std::int64_t epoch = 0; epoch < kEpochs; ++epoch) {
        for (std::int64_t batch = 0; batch < kBatches; ++batch) {
          ahead.begin(epoch, batch * kBatch, (batch + 1) * kBatch);
          while (ahead.has_due()) {
            const auto part = ahead.take();
            ASSERT_LE(part.images, 5);
            for (std::int64_t i = 0; i < part.images; ++i) {
              ++fetched[static_cast<std::size_t>(part.first + i)];
            }
            sum += part.images;
          }
          std::vector<std::int64_t> ids(kBatch);
          order.fill(epoch, batch * kBatch, ids);
          for (const std::int64_t id : ids) {
            ASSERT_GT(fetched[static_cast<std::size_t>(id)], read[static_cast<std::size_t>(id)]++)
                << "image " << id << " of batch " << batch << ", block " << block;
          }
        }
      }
      // A run on the border of two windows comes with both; the last window is followed by one
      // more.
      const std::int64_t windows = kImages / order.window_images() + 1;
      EXPECT_LE(sum, kEpochs * (kImages + windows * std::min(block, kImages)) +
                         order.window_images() + block)
          << "block " << block;
    }
  }
}

TEST(FetchAhead, the_window_after_comes_little_by_little_and_whole_in_time) {
  const SampleOrder order(Shuffle::kBlocks, 10, 3, 800);  // windows of 160
  FetchAhead ahead(order, 800, 5, 0);
  std::int64_t most = 0, fetched = 0;
  for (std::int64_t first = 0; first < 160; first += 8) {
    ahead.begin(0, first, first + 8);
    while (ahead.has_needed()) (void)ahead.take();
    std::int64_t parts = 0;
    for (; ahead.has_due(); ++parts) fetched += ahead.take().images;
    most = std::max(most, parts);
  }
  EXPECT_EQ(fetched, 160);
  EXPECT_LE(most, 3) << "of 32 parts at once";
  ahead.begin(0, 160, 168);
  EXPECT_FALSE(ahead.has_needed()) << "all of it was fetched ahead";
  ahead.restart();
  ahead.begin(0, 160, 168);
  EXPECT_TRUE(ahead.has_needed()) << "after a restart nothing is known of";
}

TEST(FetchAhead, processes_with_other_shares_begin_with_other_parts) {
  const SampleOrder order(Shuffle::kBlocks, 10, 3, 320);
  std::set<std::int64_t> firsts;
  for (const double share : {0.0, 0.25, 0.5, 0.75}) {
    FetchAhead ahead(order, 320, 5, share);
    ahead.begin(0, 0, 8);
    firsts.insert(ahead.take().first);
  }
  EXPECT_EQ(firsts.size(), 4U);
}

using PageCache = DataTest;

/// A file of so many bytes, of which the page cache holds nothing, where it can drop them.
FileDescriptor evicted_file(const std::string& path, std::int64_t bytes) {
  std::ofstream(path) << std::string(static_cast<std::size_t>(bytes), 'x');
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ::fsync(file.get());
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  return file;
}

TEST_F(PageCache, holds_what_was_fetched_and_no_more) {
  constexpr std::int64_t kBytes = (40 << 20) + 123, kPart = 1 << 20, kBegin = (5 << 20) + 77;
  for (const bool by_mapping : {true, false}) {
    const FileDescriptor file = evicted_file(in_folder("bytes"), kBytes);
    const MappedFile mapping(file, 77, kBytes - 77);
    ASSERT_TRUE(mapping);
    if (mapping.holds(kBegin, kPart)) GTEST_SKIP() << "this file system keeps what it should drop";
    const MappedFile part(file, kBegin, kPart);
    if (by_mapping && !part.fetch(kBegin, kPart)) {
      GTEST_SKIP() << "this system fetches nothing through mappings";
    }
    if (by_mapping) {
      EXPECT_TRUE(part.fetch(0, kBytes)) << "all that is mapped";
    } else {
      read_into_page_cache(file, kBegin, kPart);
    }
    EXPECT_TRUE(mapping.holds(kBegin, kPart));
    EXPECT_FALSE(mapping.holds(kBegin, kBytes - kBegin)) << "its end is not held";
    EXPECT_TRUE(part.holds(0, kBytes)) << "more is not mapped";
    read_into_page_cache(file, 0, kBytes);
    EXPECT_TRUE(mapping.holds(77, kBytes - 77));
  }
}

TEST_F(PageCache, what_is_not_there_is_passed_over) {
  constexpr std::int64_t kBytes = 3 << 20;
  const std::string path = in_folder("bytes");
  const FileDescriptor file = evicted_file(path, kBytes);
  const MappedFile mapping(file, 0, kBytes);
  std::filesystem::resize_file(path, 1 << 20);
  EXPECT_FALSE(mapping.fetch(0, kBytes)) << "a part is gone";
  EXPECT_FALSE(mapping.holds(0, kBytes));
  EXPECT_NO_THROW(read_into_page_cache(file, 0, kBytes));
  EXPECT_NO_THROW(read_into_page_cache(file, 2 * kBytes, kBytes));
  EXPECT_FALSE(MappedFile().holds(0, 1));
  EXPECT_FALSE(MappedFile().fetch(0, 1));
}

SourceInfo black(std::int64_t images, std::int64_t size) {
  SourceInfo info;
  info.name = "black";
  info.images = images;
  info.channels = 1;
  info.height = info.width = size;
  return info;
}

/// Black images that count what is fetched of them.
class FetchedImages final : public ImageSource {
 public:
  FetchedImages(std::int64_t images, std::int64_t size) : ImageSource(black(images, size)) {}

  void read(std::span<const std::int64_t>, std::span<std::uint8_t> out) const override {
    std::ranges::fill(out, 0);
  }
  void fetch(std::int64_t, std::int64_t images) const override { fetched_ += images; }

  [[nodiscard]] std::int64_t fetched() const { return fetched_; }

 private:
  mutable std::atomic<std::int64_t> fetched_ = 0;
};

TEST(FetchAhead, windows_that_memory_cannot_hold_are_not_fetched) {
  const auto fetched = [](std::int64_t block_images) {
    const FetchedImages source(std::int64_t{1} << 30, 128);  // 16 TiB
    BatchLoader loader(source, {.shuffle = Shuffle::kBlocks,
                                .block_images = block_images,
                                .batch_size = 2,
                                .reader_threads = 0});
    (void)loader.next();
    return source.fetched();
  };
  EXPECT_GE(fetched(10), 160) << "a window of 160 images";
  EXPECT_EQ(fetched(std::int64_t{1} << 24), 0) << "a window of 4 TiB";
}

/// Black images whose storage fetches nothing.
class UnfetchableImages final : public ImageSource {
 public:
  UnfetchableImages() : ImageSource(black(3000, 4)) {}

  void read(std::span<const std::int64_t>, std::span<std::uint8_t> out) const override {
    std::ranges::fill(out, 0);
  }
  void fetch(std::int64_t, std::int64_t) const override {
    ++tries_;
    throw std::bad_alloc();
  }

  [[nodiscard]] std::int64_t tries() const { return tries_; }

 private:
  mutable std::atomic<std::int64_t> tries_ = 0;
};

TEST(FetchAhead, what_cannot_be_fetched_is_read_all_the_same) {
  for (const std::int64_t readers : {0, 2}) {
    const UnfetchableImages source;
    BatchLoader loader(source, {.shuffle = Shuffle::kBlocks,
                                .block_images = 50,
                                .batch_size = 10,
                                .reader_threads = readers});
    for (int i = 0; i < 300; ++i) EXPECT_EQ(loader.next().images, 10);
    EXPECT_GT(source.tries(), 0);
    loader.seek({1, 2});
    EXPECT_EQ(loader.next().cursor, (Cursor{1, 2}));
  }
}

TEST_F(PageCache, what_lies_beside_a_run_comes_with_it_where_memory_holds_the_whole_set) {
  constexpr std::int64_t kImages = 400000;  // of 24 bytes, in five large pages
  const std::string path = make_dataset("small.h5", kImages);
  const auto source = ShardSet::open(path, Split::kTrain);
  const auto& shard = source->shards()[0];
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ::fsync(file.get());
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  source->fetch(kImages / 2, 1);
  constexpr std::int64_t kLargePageBytes = 2 << 20;
  const auto page = (shard.offset_bytes + 24 * kImages / 2) / kLargePageBytes;
  EXPECT_TRUE(shard.mapping.holds(page * kLargePageBytes, kLargePageBytes));
}

TEST_F(PageCache, blocks_of_a_file_cut_before_they_are_fetched_are_a_sentence) {
  for (const std::int64_t readers : {0, 2}) {
    const std::string path =
        make_dataset("cut-" + std::to_string(readers) + ".h5", 3000);  // 24 bytes an image
    const auto source = ShardSet::open(path, Split::kTrain);
    const auto offset = static_cast<std::uintmax_t>(source->shards()[0].offset_bytes);
    std::filesystem::resize_file(path, offset + 100 * 24);
    BatchLoader loader(*source, {.shuffle = Shuffle::kBlocks,
                                 .block_images = 50,
                                 .batch_size = 10,
                                 .reader_threads = readers});
    EXPECT_THAT(complaint<DataError>([&] {
                  for (int i = 0; i < 300; ++i) (void)loader.next();
                }),
                HasSubstr("was cut"));
  }
}

}  // namespace
}  // namespace gondola
