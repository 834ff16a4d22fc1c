#include <sys/resource.h>

#include <atomic>
#include <set>

#include "data/checksum.hpp"
#include "data/helper_process.hpp"
#include "data/importers/image_pipeline.hpp"
#include "data/importers/import_job.hpp"
#include "data/importers/importers.hpp"
#include "tests/data/archive_files.hpp"
#include "tests/data/imports.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(Imports, a_folder_is_named_by_the_sums_that_sha256sum_prints) {
  write_pictures("p", 3);
  write_bytes("p/notes.txt", "words");
  for (const std::int64_t limit : {0, 2}) {  // files whose images are left out count as well
    const std::string name = "limit" + std::to_string(limit) + ".h5";
    import_from("images", {"p"}, {.output = in_folder(name), .plan = {.limit = limit}});
    const auto sources = DatasetFile(in_folder(name)).header().sources;
    ASSERT_THAT(sources, SizeIs(4));
    for (const SourceFile& source : sources) {
      EXPECT_EQ(source.sha256, sha256_of_file(in_folder("p/" + source.name))) << source.name;
    }
  }
}

TEST_F(Imports, folders_are_classes_where_there_are_several) {
  write_picture(in_folder("p/dog/1.png"), 0, 2, 2);
  write_picture(in_folder("p/dog/2.png"), 1, 2, 2);
  write_picture(in_folder("p/cat/1.png"), 2, 2, 2);
  import_from("images", {"p"});
  EXPECT_THAT(DatasetFile(in_folder("out.h5")).read_labels(Split::kTrain), ElementsAre(0, 1, 1));
  auto expected = test_images(2, 1, 4);  // the cat, then the dogs
  const auto dogs = test_images(0, 2, 4);
  expected.insert(expected.end(), dogs.begin(), dogs.end());
  EXPECT_EQ(images_of("out.h5"), expected);
}

TEST_F(Imports, pictures_of_several_sizes_make_a_dataset_with_a_size_and_a_crop) {
  write_picture(in_folder("p/1.png"), 0, 8, 16);
  write_picture(in_folder("p/2.png"), 1, 30, 10);
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p"}); }),
              AllOf(HasSubstr("1x8x16"), HasSubstr("1x30x10"), HasSubstr("--size")));
  EXPECT_THAT(listing(), ElementsAre("p"));
  import_from("images", {"p"},
              {.fit = {.height = 4, .width = 4, .crop = FitOptions::Crop::kCenter}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->height, 4);
  EXPECT_THAT(file.header().recipe, AllOf(HasSubstr("proportions"), HasSubstr("bilinear to 4x4")));
}

TEST_F(Imports, shards_hold_the_images_of_one_file) {
  write_pictures("p", 23);
  const PlanOptions drawn{.train_share = 0.6, .seed = 5};
  import_from("images", {"p"}, {.plan = drawn});
  PlanOptions cut = drawn;
  cut.shard_images = 4;
  const auto report =
      import_from("images", {"p"}, {.output = in_folder("shards/s.h5"), .plan = cut});
  EXPECT_THAT(report.made, SizeIs(7));  // 14 training images in 4 files, 9 test images in 3
  EXPECT_EQ(report.made.front(), in_folder("shards/s-train-00000-of-00004.h5"));
  EXPECT_EQ(report.made.back(), in_folder("shards/s-test-00002-of-00003.h5"));
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto shards = open_source(in_folder("shards/s-*.h5"), split, CacheKind::kNone);
    EXPECT_EQ(read_ids(*shards, first_ids(shards->images())), images_of("out.h5", split));
    const auto mean = open_source(in_folder("out.h5"), split, CacheKind::kNone);
    for (std::size_t i = 0; i < 30; ++i) {
      EXPECT_NEAR(shards->mean_image()[i], mean->mean_image()[i], 1e-15);
    }
  }
}

class ManyShards : public Imports {
 protected:
  /// What an import says of 30 shards, all open at once, in a process with these limits on files.
  [[nodiscard]] std::string import_within(rlim_t soft, rlim_t hard) const {
    write_pictures("p", 60);
    std::vector<std::pair<std::string, std::string>> files;
    for (const int first : {0, 1}) {
      for (int i = first; i < 60; i += 2) {
        const std::string name = "img" + std::to_string(i) + ".png";
        files.emplace_back(name, read_bytes(in_folder("p/" + name)));
      }
    }
    write_archive(in_folder("p.tar"), files);
    HelperProcess helper([&](ProcessLink& link) {
      const struct ::rlimit limit { soft, hard };
      ::setrlimit(RLIMIT_NOFILE, &limit);
      const auto sentence = complaint<IoError>([&] {
        import_from("images", {"p.tar"},
                    {.output = in_folder("s/s.h5"), .plan = {.shard_images = 2}});
      });
      HelperProcess::begin_answer(link);
      link.put_list(sentence);
    });
    std::string sentence;
    helper.answer(
        "an import", [](ProcessLink&) {},
        [&](ProcessLink& link) { sentence = link.get_list<std::string>(); });
    return sentence;
  }
};

TEST_F(ManyShards, may_be_open_as_far_as_the_system_allows) {
  EXPECT_EQ(import_within(40, 1000), "no error");
  const auto shards = open_source(in_folder("s/s-*.h5"), Split::kTrain, CacheKind::kNone);
  EXPECT_EQ(read_ids(*shards, first_ids(60)), test_images(0, 60, 30));
}

TEST_F(ManyShards, beyond_that_the_cure_is_named) {
  for (const rlim_t hard : {40, 41}) {  // met by one or the other of a writer's two files
    EXPECT_THAT(import_within(40, hard),
                AllOf(HasSubstr("Too many open files"), HasSubstr("ulimit -n"),
                      HasSubstr("--shard-images")));
  }
}

TEST_F(Imports, a_split_is_drawn_by_the_seed_and_loses_no_image) {
  write_pictures("p", 40);
  std::vector<std::vector<std::uint8_t>> training;
  for (const std::uint64_t seed : {1, 1, 2}) {
    const std::string name = "out" + std::to_string(training.size()) + ".h5";
    import_from("images", {"p"},
                {.output = in_folder(name), .plan = {.train_share = 0.75, .seed = seed}});
    training.push_back(images_of(name));
    auto all = training.back();
    const auto test = images_of(name, Split::kTest);
    EXPECT_EQ(all.size(), 30U * 30);
    all.insert(all.end(), test.begin(), test.end());
    std::multiset<std::string> found, expected;
    for (std::int64_t i = 0; i < 40; ++i) {
      found.emplace(all.begin() + i * 30, all.begin() + (i + 1) * 30);
      const auto image = test_images(i, 1, 30);
      expected.emplace(image.begin(), image.end());
    }
    EXPECT_EQ(found, expected);
  }
  EXPECT_EQ(training[0], training[1]);
  EXPECT_NE(training[0], training[2]);
}

TEST_F(Imports, finished_files_are_kept_and_the_rest_is_made) {
  write_pictures("p", 10);
  const ImportOptions options{.output = in_folder("s.h5"), .plan = {.shard_images = 3}};
  const auto first = import_from("images", {"p"}, options);
  ASSERT_THAT(first.made, SizeIs(4));
  std::vector<std::string> bytes;
  for (const auto& path : first.made) bytes.push_back(read_bytes(path));
  std::filesystem::remove(first.made[1]);
  std::filesystem::remove(first.made[3]);
  write_bytes("s-train-00001-of-00004.h5.partial-1", "left by a kill");

  const auto second = import_from("images", {"p"}, options);
  EXPECT_THAT(second.kept, ElementsAre(first.made[0], first.made[2]));
  EXPECT_THAT(second.made, ElementsAre(first.made[1], first.made[3]));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(read_bytes(first.made[i]), bytes[i]) << i;
  EXPECT_THAT(listing(), Each(::testing::Not(HasSubstr("partial"))));
  EXPECT_THAT(import_from("images", {"p"}, options).made, IsEmpty());
}

TEST_F(Imports, files_of_another_import_are_refused_and_left_alone) {
  write_pictures("p", 4);
  import_from("images", {"p"});
  const auto bytes = read_bytes(in_folder("out.h5"));
  EXPECT_THAT(complaint<ConfigError>([&] { import_from("images", {"p"}, {.plan = {.limit = 4}}); }),
              AllOf(HasSubstr("not overwritten"), HasSubstr("another import")));
  write_picture(in_folder("p/img2.png"), 77, 6, 5);
  EXPECT_THAT(complaint<ConfigError>([&] { import_from("images", {"p"}); }),
              HasSubstr("other files"));
  EXPECT_EQ(read_bytes(in_folder("out.h5")), bytes);
  std::filesystem::remove(in_folder("out.h5"));
  write_bytes("out.h5", "a letter");
  EXPECT_THAT(complaint<ConfigError>([&] { import_from("images", {"p"}); }),
              HasSubstr("no dataset"));
  EXPECT_EQ(read_bytes(in_folder("out.h5")), "a letter");
}

TEST_F(Imports, files_of_other_labels_are_refused_and_left_alone) {
  for (const int i : {1, 2, 3, 4}) {
    write_picture(in_folder((i < 3 ? "p/a/" : "p/b/") + std::to_string(i) + ".png"), i, 2, 2);
  }
  for (const std::int64_t shard_images : {0, 2}) {
    const ImportOptions options{.output = in_folder("s.h5"),
                                .plan = {.shard_images = shard_images}};
    import_from("images", {"p"}, options);
    EXPECT_THAT(import_from("images", {"p"}, options).made, IsEmpty());
    std::filesystem::rename(in_folder("p/a/2.png"), in_folder("p/b/2.png"));
    EXPECT_THAT(complaint<ConfigError>([&] { import_from("images", {"p"}, options); }),
                AllOf(HasSubstr("not overwritten"), HasSubstr("other labels")));
    std::filesystem::rename(in_folder("p/b/2.png"), in_folder("p/a/2.png"));
  }
}

TEST_F(Imports, damaged_pictures_are_named_or_left_out) {
  write_pictures("p", 6);
  const auto whole = read_bytes(in_folder("p/img3.png"));
  write_bytes("p/img3.png", whole.substr(0, whole.size() / 2));
  write_bytes("p/img5.png", "words");
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p"}); }),
              ::testing::AnyOf(HasSubstr("img3.png"), HasSubstr("img5.png")));
  EXPECT_THAT(listing(), ElementsAre("p"));

  const auto report = import_from("images", {"p"}, {.bad_images = ImportOptions::BadImages::kSkip});
  EXPECT_THAT(report.bad_images, ElementsAre(HasSubstr("img3.png"), HasSubstr("img5.png")));
  EXPECT_EQ(report.images[0], 4);
  auto expected = test_images(0, 3, 30);
  const auto four = test_images(4, 1, 30);
  expected.insert(expected.end(), four.begin(), four.end());
  EXPECT_EQ(images_of("out.h5"), expected);
  EXPECT_THAT(DatasetFile(in_folder("out.h5")).header().recipe, HasSubstr("2 damaged images"));
}

TEST_F(Imports, nothing_to_import_is_said) {
  std::filesystem::create_directories(in_folder("empty"));
  for (const Importer& format : importers()) {
    EXPECT_THAT(complaint<MissingInputError>([&] { import_from(format.name, {"empty"}); }),
                HasSubstr("empty"))
        << format.name;
    EXPECT_THAT(complaint<MissingInputError>([&] { import_from(format.name, {"absent"}); }),
                HasSubstr("absent"))
        << format.name;
    EXPECT_THAT(complaint<MissingInputError>([&] { import_from(format.name, {}); }),
                HasSubstr("--input"))
        << format.name;
  }
  EXPECT_THAT(complaint<ConfigError>([] { (void)importer("cifar100"); }), HasSubstr("cifar10"));
}

TEST_F(Imports, a_source_that_changes_meanwhile_is_refused) {
  write_pictures("p", 40);
  bool changed = false;
  ImportOptions options;
  options.progress = [&](const char*, std::int64_t, std::int64_t) {
    if (!std::exchange(changed, true)) write_bytes("p/img39.png", "words");
  };
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p"}, options); }),
              HasSubstr("img39.png"));
  EXPECT_THAT(listing(), ElementsAre("p"));
}

TEST_F(Imports, a_file_that_changes_between_two_readings_is_refused) {
  write_pictures("p/a", 2);
  write_pictures("p/b", 2);
  bool changed = false;
  ImportOptions options{.bad_images = ImportOptions::BadImages::kSkip};
  options.progress = [&](const char* doing, std::int64_t done, std::int64_t total) {
    if (std::string_view(doing) != "checked" || done < total || std::exchange(changed, true))
      return;
    write_picture(in_folder("p/b/img0.png"), 77, 6, 5);  // as good as the one before
    std::filesystem::last_write_time(in_folder("p/b/img0.png"), {});
  };
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p"}, options); }),
              AllOf(HasSubstr("p/b/img0.png"), HasSubstr("changed")));
  EXPECT_THAT(listing(), ElementsAre("p"));
}

TEST_F(Imports, a_file_that_cannot_be_read_is_named_before_any_work) {
  write_pictures("p", 3);
  const auto source = importer("images").open({.inputs = {in_folder("p")}});
  std::filesystem::remove(in_folder("p/img2.png"));
  bool worked = false;
  ImportOptions options{.output = in_folder("out.h5"), .name = "test"};
  options.progress = [&](const char*, std::int64_t, std::int64_t) { worked = true; };
  EXPECT_THAT(complaint<IoError>([&] { (void)run_import(*source, options); }),
              HasSubstr("p/img2.png"));
  EXPECT_FALSE(worked);
}

/// Delivers images of no bytes.
class EmptyImages final : public ImportSource {
 public:
  explicit EmptyImages(std::int64_t images) { listing_.of(Split::kTrain).images = images; }
  void deliver(const std::function<bool(ImportPlace)>&,
               const std::function<void(RawImage)>& take) override {
    for (std::int64_t i = 0; i < listing_.of(Split::kTrain).images; ++i) {
      take({.place = {Split::kTrain, i}, .load = [](RawImage&) {}});
    }
  }
  [[nodiscard]] PlanarImage decode(const RawImage&) const override { return {}; }
};

TEST(ImagePipeline, shares_few_images_out_among_its_threads) {
  constexpr std::int64_t kJobs = 4;
  EmptyImages source(2 * kJobs);
  std::atomic<std::size_t> most = 0, all = 0;
  run_pipeline(
      source, kJobs, /*most=*/0, [](ImportPlace) { return true; },
      [&](std::span<RawImage> images) {
        std::size_t before = most;
        while (before < images.size() && !most.compare_exchange_weak(before, images.size())) {
        }
        all += images.size();
      });
  EXPECT_EQ(most, 1U);
  EXPECT_EQ(all, 2U * kJobs);
}

}  // namespace
}  // namespace gondola
