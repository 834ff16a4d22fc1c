// Training straight on HDF5 files of other programs: the same images, labels and mean image as
// those of the dataset that `gondola import hdf5` makes of them.

#include "data/importers/hdf5.hpp"
#include "data/importers/import_job.hpp"
#include "data/shard_set.hpp"
#include "tests/data/foreign_files.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr std::int64_t kImages = 37, kChannels = 3, kHeight = 6, kWidth = 5;

class ForeignTraining : public ForeignFiles {
 protected:
  /// The dataset that gondola import hdf5 makes of a file.
  [[nodiscard]] std::string converted(const std::string& name) const {
    const std::string output = in_folder("converted-" + name);
    ImportOptions options;
    options.output = output;
    options.name = "converted";
    options.jobs = 1;
    const auto source = open_hdf5({.inputs = {in_folder(name)}});
    (void)run_import(*source, options);
    return output;
  }
  void expect_same(const std::string& name, Split split = Split::kTrain) const {
    const auto foreign = open_source(in_folder(name), split, CacheKind::kNone);
    const auto ours = open_source(converted(name), split, CacheKind::kNone);
    ASSERT_EQ(foreign->images(), ours->images()) << name;
    EXPECT_EQ(foreign->channels(), ours->channels()) << name;
    EXPECT_EQ(foreign->height(), ours->height()) << name;
    EXPECT_EQ(foreign->width(), ours->width()) << name;
    auto ids = first_ids(foreign->images());
    std::reverse(ids.begin(), ids.end());
    EXPECT_EQ(read_ids(*foreign, ids), read_ids(*ours, ids)) << name;
    EXPECT_THAT(foreign->mean_image(), ElementsAreArray(ours->mean_image())) << name;
    EXPECT_EQ(foreign->fingerprint(), ours->fingerprint()) << name;
    EXPECT_EQ(foreign->info().labels, ours->info().labels) << name;
    std::vector<float> values(static_cast<std::size_t>(foreign->image_bytes())), expected(values);
    foreign->read_values(std::vector<std::int64_t>{1}, values);
    ours->read_values(std::vector<std::int64_t>{1}, expected);
    EXPECT_EQ(values, expected) << name;
  }
};

TEST_F(ForeignTraining, every_form_trains_on_the_images_that_an_import_makes) {
  const std::vector<hsize_t> nchw = {kImages, kChannels, kHeight, kWidth};
  const std::vector<hsize_t> nhwc = {kImages, kHeight, kWidth, kChannels};
  const std::vector<hsize_t> nhw = {kImages, kHeight, kWidth};
  const auto first = values(kImages, kChannels, kHeight, kWidth, false);
  const auto last = values(kImages, kChannels, kHeight, kWidth, true);
  const auto last_to_one = values(kImages, kChannels, kHeight, kWidth, true, 1.0 / 255.0);
  const auto grey_to_one = values(kImages, 1, kHeight, kWidth, false, 1.0 / 255.0);
  store("chunked.h5", {.shape = nchw, .chunk = {4, 2, kHeight, 3}}, first);
  store("nhwc.h5", {.shape = nhwc}, last);
  store("packed-nhwc.h5", {.shape = nhwc, .chunk = {5, kHeight, kWidth, kChannels}}, last);
  store("float.h5", {.shape = nhwc, .type = H5T_NATIVE_FLOAT}, last_to_one);
  store("float255.h5", {.shape = nchw, .type = H5T_NATIVE_FLOAT, .chunk = {1, 3, 6, 5}}, first);
  store("double.h5", {.shape = nhwc, .type = H5T_IEEE_F64BE, .chunk = {2, 3, 4, 2}}, last_to_one);
  store("double255.h5", {.shape = nchw, .type = H5T_NATIVE_DOUBLE}, first);
  store("grey.h5", {.path = "deep/er", .shape = nhw, .type = H5T_NATIVE_FLOAT}, grey_to_one);
  store("int.h5", {.shape = nchw, .type = H5T_STD_I16LE, .chunk = {9, 3, 6, 5}}, first);
  for (const char* name : {"chunked.h5", "nhwc.h5", "packed-nhwc.h5", "float.h5", "float255.h5",
                           "double.h5", "double255.h5", "grey.h5", "int.h5"}) {
    expect_same(name);
    const auto source = open_source(in_folder(name), Split::kTrain, CacheKind::kNone);
    EXPECT_EQ(source->storage(), ImageStorage::kPacked) << name;
    ASSERT_THAT(source->warnings(), ElementsAre(HasSubstr(in_folder(name)))) << name;
    EXPECT_THAT(source->warnings()[0],
                AllOf(MatchesRegex(".* [0-9.]+ times slower .*"), HasSubstr("images/s"),
                      HasSubstr("read in full"), HasSubstr("gondola import hdf5 --input ")))
        << name;
  }
  EXPECT_EQ(read_ids(*open_source(in_folder("nhwc.h5"), Split::kTrain, CacheKind::kNone), {3}),
            test_images(3, 1, kChannels * kHeight * kWidth));
}

TEST_F(ForeignTraining, plain_bytes_are_read_past_hdf5) {
  store("nchw.h5", {.shape = {9, 3, 4, 5}}, values(9, 3, 4, 5, false));
  store("nhw.h5", {.shape = {9, 4, 5}}, values(9, 1, 4, 5, false));
  store("nhw1.h5", {.shape = {9, 4, 5, 1}}, values(9, 1, 4, 5, true));
  for (const char* name : {"nchw.h5", "nhw.h5", "nhw1.h5"}) {
    expect_same(name);
    const auto set = ShardSet::open(in_folder(name), Split::kTrain);
    EXPECT_TRUE(set->shards()[0].file) << name;
    EXPECT_THAT(set->warnings(),
                ElementsAre(AllOf(HasSubstr("read in full"), Not(HasSubstr("slower")))));
  }
}

TEST_F(ForeignTraining, splits_and_labels_lie_where_they_are_expected) {
  store("both.h5", {.path = "train/images", .shape = {7, 4, 4, 3}, .type = H5T_NATIVE_FLOAT},
        values(7, 3, 4, 4, true));
  store("both.h5", {.path = "train/label", .shape = {7, 1}, .type = H5T_STD_I16LE},
        {1, 2, 3, 4, -5, 6, 7});
  store("both.h5", {.path = "test/images", .shape = {2, 3, 4, 4}}, values(2, 3, 4, 4, false));
  expect_same("both.h5", Split::kTrain);
  expect_same("both.h5", Split::kTest);
  EXPECT_EQ(open_source(in_folder("both.h5"), Split::kTrain, CacheKind::kNone)->label(4), -5);
  store("one.h5", {.shape = {7, 4, 4}}, values(7, 1, 4, 4, false));
  EXPECT_FALSE(has_split(in_folder("one.h5"), Split::kTest));
}

TEST_F(ForeignTraining, shards_of_ours_and_of_others_make_one_set) {
  store("a.h5", {.shape = {5, 4, 4, 3}, .type = H5T_NATIVE_FLOAT}, values(5, 3, 4, 4, true));
  const auto ours = converted("a.h5");
  const auto set = open_source(ours + "," + in_folder("a.h5"), Split::kTrain, CacheKind::kHost);
  ASSERT_EQ(set->images(), 10);
  EXPECT_EQ(read_ids(*set, {7, 1}), read_ids(*set, {2, 6}));
  EXPECT_THAT(set->mean_image(),
              ElementsAreArray(open_source(ours, Split::kTrain, CacheKind::kNone)->mean_image()));
}

TEST_F(ForeignTraining, what_cannot_be_trained_on_is_named) {
  const auto refusal = [&](const char* name) {
    return complaint<DataError>(
        [&] { (void)open_source(in_folder(name), Split::kTrain, CacheKind::kNone); });
  };
  auto wrong = values(4, 1, 3, 3, false, 1.0 / 255.0);
  wrong[20] = -0.25;
  store("negative.h5", {.shape = {4, 3, 3}, .type = H5T_NATIVE_FLOAT}, wrong);
  EXPECT_THAT(refusal("negative.h5"),
              AllOf(HasSubstr("image 2 has the value -0.25"), HasSubstr("place 2")));
  store("two.h5", {.path = "x", .shape = {3, 2, 2}}, values(3, 1, 2, 2, false));
  store("two.h5", {.path = "y", .shape = {3, 2, 2}}, values(3, 1, 2, 2, false));
  EXPECT_THAT(complaint<ConfigError>(
                  [&] { (void)open_source(in_folder("two.h5"), Split::kTrain, CacheKind::kNone); }),
              AllOf(HasSubstr("/x, /y"), HasSubstr("gondola import hdf5 --dataset")));
  store("damaged.h5", {.shape = {50, 3, 8, 8}, .chunk = {5, 3, 8, 8}}, values(50, 3, 8, 8, false));
  std::string damaged = read_bytes(in_folder("damaged.h5"));
  for (std::size_t i = damaged.size() * 2 / 3; i < damaged.size() * 2 / 3 + 64; ++i) {
    damaged[i] = 'x';
  }
  write_bytes("damaged.h5", damaged);
  EXPECT_THAT(refusal("damaged.h5"), AllOf(HasSubstr("damaged.h5"), HasSubstr("damaged")));
}

/// Whatever is damaged, opening ends in a sentence: another process meets the crashes of HDF5.
TEST_F(ForeignTraining, a_damaged_file_without_metadata_checksums_never_crashes_the_reader) {
  const std::string path = make_old("old.h5");
  EXPECT_EQ(read_ids(*open_source(path, Split::kTrain, CacheKind::kNone), {19}),
            test_images(19, 1, 64));
  const int refused = refusals_of_damage(path, [](const std::string& damaged) {
    const auto source = open_source(damaged, Split::kTrain, CacheKind::kNone);
    (void)read_ids(*source, first_ids(source->images()));
  });
  EXPECT_GT(refused, 5);
}

}  // namespace
}  // namespace gondola
