#include "data/image_source.hpp"

#include <pthread.h>

#include <atomic>
#include <cfenv>
#include <csignal>
#include <functional>
#include <thread>
#include <utility>

#include "data/bus_error.hpp"
#include "data/foreign_scan.hpp"
#include "data/shard_set.hpp"
#include "tests/data/data_test.hpp"

namespace {

/// What HDF5 says of itself in this program: its own answer cannot be chosen.
bool library_is_thread_safe = true;

}  // namespace

/// Stands in for H5is_library_threadsafe (the linker's --wrap).
/// NOLINTNEXTLINE(bugprone-reserved-identifier, readability-identifier-naming)
extern "C" herr_t __wrap_H5is_library_threadsafe(hbool_t* safe) {
  *safe = library_is_thread_safe;
  return 0;
}

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using ImageSources = DataTest;

TEST_F(ImageSources, images_come_in_the_order_of_the_ids) {
  const auto source = open_source(make_dataset("a.h5", 20, 5), Split::kTrain, CacheKind::kNone);
  EXPECT_EQ(source->images(), 20);
  EXPECT_EQ(source->image_bytes(), 24);
  const std::vector<std::int64_t> ids = {3, 4, 5, 19, 0, 0, 7, 6};
  std::vector<std::uint8_t> expected;
  for (const std::int64_t id : ids) {
    const auto image = test_images(id, 1, 24);
    expected.insert(expected.end(), image.begin(), image.end());
  }
  EXPECT_EQ(read_ids(*source, ids), expected);
  EXPECT_EQ(source->label(13), test_labels(13, 1)[0]);
  EXPECT_THAT(source->warnings(), IsEmpty());
}

TEST_F(ImageSources, the_test_split_is_its_own) {
  const auto source = open_source(make_dataset("a.h5", 20, 5), Split::kTest, CacheKind::kNone);
  EXPECT_EQ(source->images(), 5);
  EXPECT_EQ(read_ids(*source, {4}), test_images(24, 1, 24));
}

TEST_F(ImageSources, shards_read_as_one_file_does) {
  const auto whole = open_source(make_dataset("whole.h5", 30), Split::kTrain, CacheKind::kNone);
  make_dataset("shard-1.h5", 7, 0, 0);
  make_dataset("shard-2.h5", 1, 0, 7);
  make_dataset("shard-3.h5", 22, 0, 8);
  const std::string list =
      in_folder("shard-1.h5") + "," + in_folder("shard-2.h5") + "," + in_folder("shard-3.h5");
  for (const std::string& path : {in_folder("shard-*.h5"), list}) {
    for (const CacheKind cache : {CacheKind::kNone, CacheKind::kHost}) {
      const auto shards = open_source(path, Split::kTrain, cache);
      ASSERT_EQ(shards->images(), 30);
      EXPECT_EQ(read_ids(*shards, first_ids(30)), read_ids(*whole, first_ids(30)));
      EXPECT_EQ(read_ids(*shards, {29, 8, 7, 6, 7, 8}), read_ids(*whole, {29, 8, 7, 6, 7, 8}));
      EXPECT_THAT(shards->mean_image(), ElementsAreArray(whole->mean_image()));
      for (std::int64_t id = 0; id < 30; ++id) ASSERT_EQ(shards->label(id), whole->label(id));
    }
  }
}

TEST_F(ImageSources, a_split_may_lie_in_any_shard) {
  const std::string train = make_dataset("train.h5", 5), test = make_dataset("test.h5", 0, 3);
  for (const std::string& list : {train + "," + test, test + "," + train}) {
    for (const auto& [split, images] : {std::pair(Split::kTrain, 5), std::pair(Split::kTest, 3)}) {
      EXPECT_TRUE(has_split(list, split)) << list << " " << split_name(split);
      EXPECT_EQ(open_source(list, split, CacheKind::kNone)->images(), images);
    }
  }
  EXPECT_FALSE(has_split(train, Split::kTest));
}

TEST_F(ImageSources, the_fingerprint_tells_datasets_apart) {
  const auto fingerprint = [](const std::string& path, Split split = Split::kTrain) {
    return open_source(path, split, CacheKind::kNone)->fingerprint();
  };
  const auto one = fingerprint(make_dataset("a.h5", 20, 20));
  EXPECT_EQ(one, fingerprint(make_dataset("b.h5", 20)));
  EXPECT_NE(one, fingerprint(make_dataset("c.h5", 20, 0, 1)));
  EXPECT_NE(one, fingerprint(make_dataset("d.h5", 19)));
  EXPECT_NE(one, fingerprint(in_folder("a.h5"), Split::kTest));
}

TEST_F(ImageSources, the_host_cache_reads_the_same_and_keeps_warnings_silent) {
  const std::string path = make_dataset("a.h5", 500, 5);
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto direct = open_source(path, split, CacheKind::kNone);
    const auto cached = open_source(path, split, CacheKind::kHost);
    const auto ids = first_ids(direct->images());
    EXPECT_EQ(read_ids(*cached, ids), read_ids(*direct, ids));
    EXPECT_EQ(cached->fingerprint(), direct->fingerprint());
    EXPECT_THAT(cached->warnings(), IsEmpty());
  }
}

TEST_F(ImageSources, packed_foreign_files_are_read_with_a_warning) {
  const auto path = make_foreign("foreign.h5", {10, 2, 3, 4}, H5T_NATIVE_UINT8, /*packed=*/true);
  const auto reference = open_source(make_dataset("a.h5", 10), Split::kTrain, CacheKind::kNone);
  const auto source = open_source(path, Split::kTrain, CacheKind::kNone);
  EXPECT_EQ(read_ids(*source, first_ids(10)), test_images(0, 10, 24));
  EXPECT_EQ(read_ids(*source, {9, 2, 3}), read_ids(*reference, {9, 2, 3}));
  EXPECT_THAT(source->mean_image(), ElementsAreArray(reference->mean_image()));
  EXPECT_FALSE(source->has_labels());
  EXPECT_THAT(source->warnings(),
              ElementsAre(AllOf(HasSubstr("read in full"), HasSubstr("images/s"),
                                HasSubstr("gondola import hdf5"))));
}

TEST_F(ImageSources, packed_shards_give_one_warning_and_are_cached_like_others) {
  make_foreign("f1.h5", {4, 1, 2, 2}, H5T_NATIVE_UINT8, true);
  make_foreign("f2.h5", {4, 1, 2, 2}, H5T_NATIVE_UINT8, true);
  const auto source = open_source(in_folder("f*.h5"), Split::kTrain, CacheKind::kHost);
  EXPECT_THAT(source->warnings(), ElementsAre(AllOf(HasSubstr("f1.h5"), HasSubstr("read in full"),
                                                    HasSubstr("gondola import hdf5"))));
  EXPECT_EQ(read_ids(*source, {0, 4}), read_ids(*source, {4, 0}));
  EXPECT_EQ(read_ids(*source, {5}), test_images(1, 1, 4));
}

TEST_F(ImageSources, plain_foreign_files_are_read_past_hdf5) {
  const auto path = make_foreign("foreign.h5", {10, 2, 3, 4});
  const auto shards = ShardSet::open(path, Split::kTrain);
  EXPECT_TRUE(shards->shards()[0].file);
  EXPECT_EQ(read_ids(*shards, first_ids(10)), test_images(0, 10, 24));
}

std::function<void()> before_fork;  // once

TEST_F(ImageSources, a_foreign_file_that_is_replaced_while_it_is_read_is_refused) {
  ASSERT_EQ(::pthread_atfork(
                [] {
                  if (before_fork) std::exchange(before_fork, nullptr)();
                },
                nullptr, nullptr),
            0);
  {
    const auto other = hdf5::create_file(in_folder("no-split.h5"));
    const auto group = hdf5::create_group(other.get(), "test");
    hdf5::write_dataset<std::uint8_t>(group.get(), "images", test_images(0, 2, 4),
                                      std::vector<std::int64_t>{2, 1, 2, 2});
  }
  make_foreign("small.h5", {10, 1, 2, 2});
  for (const std::string other : {"no-split.h5", "small.h5"}) {
    const auto path = make_foreign("f.h5", {10, 3, 40, 50});
    before_fork = [&] { std::filesystem::rename(in_folder(other), path); };
    EXPECT_THAT(complaint<DataError>([&] { (void)ShardSet::open(path, Split::kTrain); }),
                HasSubstr("f.h5 changed while it was read"))
        << other;
  }
}

TEST_F(ImageSources, a_library_without_thread_safety_reads_no_packed_images) {
  const auto path = make_foreign("packed.h5", {10, 2, 3, 4}, H5T_NATIVE_UINT8, /*packed=*/true);
  library_is_thread_safe = false;
  const auto sentence =
      complaint<DataError>([&] { (void)open_source(path, Split::kTrain, CacheKind::kNone); });
  const auto plain = open_source(make_dataset("a.h5", 10), Split::kTrain, CacheKind::kNone);
  library_is_thread_safe = true;
  EXPECT_THAT(sentence, AllOf(HasSubstr("packed.h5"), HasSubstr("thread safety"),
                              HasSubstr("gondola import hdf5")));
  EXPECT_EQ(read_ids(*plain, {9}), test_images(9, 1, 24));
}

TEST_F(ImageSources, shards_that_differ_are_refused) {
  make_dataset("s1.h5", 3);
  make_dataset("s2.h5", 3, 0, 3, {.channels = 2, .height = 4, .width = 4, .train_labels = true});
  EXPECT_THAT(complaint<DataError>(
                  [&] { (void)open_source(in_folder("s*.h5"), Split::kTrain, CacheKind::kNone); }),
              AllOf(HasSubstr("2x4x4"), HasSubstr("2x3x4")));
  make_dataset("t1.h5", 3);
  make_dataset("t2.h5", 3, 0, 3, {.channels = 2, .height = 3, .width = 4});
  EXPECT_THAT(complaint<DataError>(
                  [&] { (void)open_source(in_folder("t*.h5"), Split::kTrain, CacheKind::kNone); }),
              HasSubstr("t2.h5 has no labels"));
}

TEST_F(ImageSources, what_is_missing_is_named) {
  const auto opening = [](const std::string& path, Split split) {
    return [=] { (void)open_source(path, split, CacheKind::kNone); };
  };
  EXPECT_THAT(complaint<MissingInputError>(opening(in_folder("no.h5"), Split::kTrain)),
              HasSubstr("no.h5"));
  EXPECT_THAT(complaint<MissingInputError>(opening(in_folder("no-*.h5"), Split::kTrain)),
              HasSubstr("no-*.h5"));
  EXPECT_THAT(complaint<DataError>(opening(make_dataset("a.h5", 3), Split::kTest)),
              HasSubstr("no test split"));
  EXPECT_THAT(complaint<ConfigError>(opening("", Split::kTrain)), HasSubstr("--data.path"));
}

/// Pixels of images 2 x 3 x 4, picked out of whole ones.
std::vector<std::uint8_t> picked_by_hand(const ImageSource& source,
                                         const std::vector<std::int64_t>& ids,
                                         const std::vector<std::int64_t>& pixels) {
  std::vector<std::uint8_t> picked;
  for (const std::int64_t id : ids) {
    const auto image = read_ids(source, {id});
    for (const std::size_t channel : {0, 1}) {
      for (const std::int64_t pixel : pixels) {
        picked.push_back(image[channel * 12 + static_cast<std::size_t>(pixel)]);
      }
    }
  }
  return picked;
}

TEST_F(ImageSources, pixels_are_picked_alike_however_images_are_read) {
  make_foreign("packed.h5", {40, 2, 3, 4}, H5T_NATIVE_UINT8, /*packed=*/true);
  const std::string plain = make_dataset("a.h5", 40);
  const auto mapped = ShardSet::open(plain, Split::kTrain);
  mapped->fix_reading(ShardSet::Reading::kMapping);
  const auto by_pread = ShardSet::open(plain, Split::kTrain);
  by_pread->fix_reading(ShardSet::Reading::kPread);
  const auto cached = open_source(plain, Split::kTrain, CacheKind::kHost);
  const auto packed = open_source(in_folder("packed.h5"), Split::kTrain, CacheKind::kNone);
  const auto made = open_source("synthetic:40x2x3x4", Split::kTrain, CacheKind::kNone);
  const std::vector<std::int64_t> ids = {7, 39, 0, 0}, pixels = {11, 3, 3, 0, 5};
  const std::vector<const ImageSource*> sources = {mapped.get(), by_pread.get(), cached.get(),
                                                   packed.get(), made.get()};
  for (const ImageSource* source : sources) {
    std::vector<std::uint8_t> out(ids.size() * 2 * pixels.size());
    source->pick(ids, pixels, out);
    EXPECT_EQ(out, picked_by_hand(*source, ids, pixels)) << source->name();
    for (const std::int64_t outside : {-1, 12}) {
      EXPECT_THAT(complaint<DataError>([&] {
                    source->pick(ids, std::vector<std::int64_t>{1, outside, 2, 3, 4}, out);
                  }),
                  HasSubstr("no pixel " + std::to_string(outside)));
    }
    EXPECT_THAT(complaint<DataError>([&] { source->pick(ids, std::vector<std::int64_t>{1}, out); }),
                HasSubstr("needs a buffer of 8 bytes"));
  }
}

TEST_F(ImageSources, ids_and_buffers_that_do_not_fit_are_refused) {
  const std::string path = make_dataset("a.h5", 3);
  std::vector<std::uint8_t> image(24);
  for (const auto& source : {open_source(path, Split::kTrain, CacheKind::kNone),
                             open_source(path, Split::kTrain, CacheKind::kHost),
                             open_source("synthetic:3x2x3x4", Split::kTrain, CacheKind::kNone)}) {
    for (const std::int64_t id : {-1, 3}) {
      EXPECT_THAT(complaint<DataError>([&] { source->read(std::vector{id}, image); }),
                  HasSubstr("no image " + std::to_string(id)));
    }
    EXPECT_THAT(complaint<DataError>([&] { source->read(first_ids(2), image); }),
                HasSubstr("48 bytes"));
    EXPECT_THAT(complaint<DataError>([&] { (void)source->label(3); }), HasSubstr("no label"));
  }
}

TEST_F(ImageSources, a_file_cut_while_it_is_read_is_a_sentence) {
  const std::string path = make_dataset("a.h5", 500);
  const auto source = open_source(path, Split::kTrain, CacheKind::kNone);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  EXPECT_EQ(read_ids(*source, {0}), test_images(0, 1, 24));
  EXPECT_THAT(complaint<DataError>([&] { (void)read_ids(*source, {499}); }), HasSubstr("was cut"));
}

TEST_F(ImageSources, a_mapping_reads_as_pread_does_and_survives_a_cut_file) {
  for (const auto reading : {ShardSet::Reading::kPread, ShardSet::Reading::kMapping}) {
    const bool mapped = reading == ShardSet::Reading::kMapping;
    const std::string path = make_dataset(mapped ? "mapped-a.h5" : "pread-a.h5", 500);
    const auto set = ShardSet::open(path, Split::kTrain);
    ASSERT_TRUE(set->can_map());
    set->fix_reading(reading);
    EXPECT_EQ(read_ids(*set, first_ids(500)), test_images(0, 500, 24));
    const auto offset = static_cast<std::uintmax_t>(set->shards()[0].offset_bytes);
    // Within the first page of images, whose rest a mapping reads as zeros; the others are gone.
    std::filesystem::resize_file(path, offset + 100 * 24);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(read_ids(*set, {99}), test_images(99, 1, 24));
    for (const std::int64_t gone : {100, 499}) {
      EXPECT_THAT(complaint<DataError>([&] {
                    (void)read_ids(*set, {3, gone});
                  }),
                  AllOf(HasSubstr("-a.h5"), HasSubstr("was cut")));
    }
  }
}

TEST(BusError, the_jump_gives_the_rounding_mode_of_the_caller_back) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the thread sanitizer delivers a raised signal later";
#endif
  ASSERT_EQ(std::fesetround(FE_UPWARD), 0);
  const bool survived = survives_bus_error([] {
    std::fesetround(FE_DOWNWARD);
    (void)std::raise(SIGBUS);
  });
  const int rounding = std::fegetround();
  std::fesetround(FE_TONEAREST);
  EXPECT_FALSE(survived);
  EXPECT_EQ(rounding, FE_UPWARD);
}

TEST_F(ImageSources, a_file_written_to_while_it_is_read_is_a_sentence) {
  const std::string path = make_dataset("a.h5", 500);
  for (const auto reading : {ShardSet::Reading::kPread, ShardSet::Reading::kMapping}) {
    const auto set = ShardSet::open(path, Split::kTrain);
    set->fix_reading(reading);
    EXPECT_EQ(read_ids(*set, {7}), test_images(7, 1, 24));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now());
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    EXPECT_THAT(complaint<DataError>([&] { (void)read_ids(*set, {7}); }),
                AllOf(HasSubstr("a.h5"), HasSubstr("written to after it was opened")));
  }
}

TEST_F(ImageSources, opening_reads_files_of_other_programs_in_full_and_of_ours_next_to_nothing) {
  const auto foreign = make_foreign("packed.h5", {10, 2, 3, 4}, H5T_NATIVE_UINT8, /*packed=*/true);
  EXPECT_EQ(bytes_read_when_opened(foreign),
            static_cast<std::int64_t>(std::filesystem::file_size(foreign)));
  EXPECT_EQ(bytes_read_when_opened(make_dataset("ours.h5", 10)), 0);
  EXPECT_EQ(bytes_read_when_opened(in_folder("absent.h5")), 0);
}

TEST_F(ImageSources, a_packed_file_written_to_while_it_is_read_is_a_sentence) {
  const auto path = make_foreign("packed.h5", {10, 2, 3, 4}, H5T_NATIVE_UINT8, /*packed=*/true);
  const auto source = open_source(path, Split::kTrain, CacheKind::kNone);
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now());
  EXPECT_THAT(complaint<DataError>([&] { (void)read_ids(*source, {7}); }),
              AllOf(HasSubstr("packed.h5"), HasSubstr("written to after it was opened")));
}

TEST_F(ImageSources, threads_may_read_at_once) {
  const auto packed = make_foreign("packed.h5", {50, 2, 3, 4}, H5T_NATIVE_UINT8, true);
  for (const std::string& path : {make_dataset("a.h5", 50), packed}) {
    const auto source = open_source(path, Split::kTrain, CacheKind::kNone);
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 100; ++i) {
          const std::int64_t id = (t * 13 + i * 7) % 50;
          if (read_ids(*source, {id}) != test_images(id, 1, 24)) ++wrong;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
  }
}

TEST(SyntheticSource, images_are_a_function_of_their_id) {
  const auto small = open_source("synthetic:20x1x16x12", Split::kTrain, CacheKind::kNone);
  const auto again = open_source("synthetic:20x1x16x12", Split::kTrain, CacheKind::kHost);
  const auto larger = open_source("synthetic:100x1x16x12", Split::kTrain, CacheKind::kNone);
  const auto test = open_source("synthetic:20x1x16x12", Split::kTest, CacheKind::kNone);
  EXPECT_EQ(small->images(), 20);
  EXPECT_EQ(test->images(), 2);
  EXPECT_EQ(read_ids(*small, first_ids(20)), read_ids(*again, first_ids(20)));
  EXPECT_EQ(read_ids(*small, first_ids(20)), read_ids(*larger, first_ids(20)));
  EXPECT_EQ(read_ids(*test, {0, 1}), read_ids(*larger, {20, 21})) << "further ids";
  EXPECT_EQ(test->label(1), larger->label(21));
  EXPECT_EQ(small->fingerprint(), again->fingerprint());
  EXPECT_NE(small->fingerprint(), larger->fingerprint());
}

TEST(SyntheticSource, images_are_smooth_and_differ) {
  const auto source = open_source("synthetic:50x3x32x32", Split::kTrain, CacheKind::kNone);
  std::vector<std::vector<std::uint8_t>> seen;
  for (std::int64_t id = 0; id < 50; ++id) {
    const auto image = read_ids(*source, {id});
    int largest_jump = 0;
    for (std::size_t i = 1; i < image.size(); ++i) {
      if (i % 32 != 0) largest_jump = std::max(largest_jump, std::abs(image[i] - image[i - 1]));
    }
    EXPECT_LE(largest_jump, 120);
    EXPECT_GT(*std::max_element(image.begin(), image.end()), 40);
    for (const auto& other : seen) ASSERT_NE(image, other);
    seen.push_back(image);
    EXPECT_GE(source->label(id), 0);
    EXPECT_LE(source->label(id), 3);
  }
}

TEST(SyntheticSource, the_mean_image_is_that_of_the_images) {
  const auto source = open_source("synthetic:9x2x4x5", Split::kTrain, CacheKind::kNone);
  const auto images = read_ids(*source, first_ids(9));
  for (std::size_t i = 0; i < 40; ++i) {
    double sum = 0;
    for (std::size_t image = 0; image < 9; ++image) sum += images[image * 40 + i];
    EXPECT_NEAR(source->mean_image()[i], sum / (255 * 9), 1e-15);
  }
}

TEST(SyntheticSource, the_mean_of_large_images_is_that_of_16_mebibytes_of_them) {
  const auto source = open_source("synthetic:50x1x1024x1024", Split::kTrain, CacheKind::kNone);
  constexpr std::size_t kCentre = 512 * 1024 + 512;
  double sum = 0;
  for (std::int64_t id = 0; id < 16; ++id) sum += read_ids(*source, {id})[kCentre];
  EXPECT_NEAR(source->mean_image()[kCentre], sum / (255 * 16), 1e-15);
}

TEST(SyntheticSource, other_descriptions_are_refused) {
  for (const char* path : {"synthetic:", "synthetic:10", "synthetic:10x1x28", "synthetic:0x1x28x28",
                           "synthetic:10x1x28x28x2", "synthetic:10x1x28x-3", "synthetic:axbxcxd",
                           "synthetic:10x1x28x28 ", "synthetic:10x1x99999999x28",
                           "synthetic:268435457x1x1x1", "synthetic:1x2x16384x16384"}) {
    EXPECT_THAT(
        complaint<ConfigError>([&] { (void)open_source(path, Split::kTrain, CacheKind::kNone); }),
        AllOf(HasSubstr(path), HasSubstr("synthetic:1000x1x28x28")));
  }
}

}  // namespace
}  // namespace gondola
