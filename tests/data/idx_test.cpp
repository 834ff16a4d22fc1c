#include "data/importers/idx.hpp"

#include <zlib.h>

#include <random>

#include "data/checksum.hpp"
#include "data/dataset_file.hpp"
#include "data/images/resize.hpp"
#include "data/importers/import_job.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The bytes of an IDX file.
std::string idx(const std::vector<std::int64_t>& shape, const std::vector<std::uint8_t>& values,
                char type = 8) {
  std::string bytes = {0, 0, type, static_cast<char>(shape.size())};
  for (const std::int64_t size : shape) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(size >> shift);
  }
  return bytes.append(values.begin(), values.end());
}

class IdxImports : public DataTest {
 protected:
  void write_packed(const std::string& name, const std::string& bytes) const {
    gzFile file = gzopen(in_folder(name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
  }
  void write_published() const {
    write_bytes("train-images-idx3-ubyte", idx({5, 3, 4}, test_images(0, 5, 12)));
    write_packed("train-labels-idx1-ubyte.gz", idx({5}, {0, 1, 2, 3, 255}));
    write_packed("t10k-images-idx3-ubyte.gz", idx({2, 3, 4}, test_images(5, 2, 12)));
    write_bytes("t10k-labels-idx1-ubyte", idx({2}, {7, 8}));
    write_bytes("README", "words");
  }
  /// Imports these inputs to out.h5.
  void import_to_out(const std::vector<std::string>& inputs, ImportOptions options = {}) const {
    options.output = in_folder("out.h5");
    options.name = "out";
    const auto source = open_idx({.inputs = inputs});
    (void)run_import(*source, options);
  }
  /// What the import says when it refuses with an error of this class; it must leave nothing.
  template <typename Expected>
  std::string refusal(const std::vector<std::string>& names) const {
    std::vector<std::string> inputs;
    for (const auto& name : names) inputs.push_back(in_folder(name));
    const std::string sentence = complaint<Expected>([&] { import_to_out(inputs); });
    for (const auto& name : listing()) EXPECT_THAT(name, ::testing::Not(HasSubstr("out.h5")));
    return sentence;
  }
};

TEST_F(IdxImports, a_folder_becomes_a_dataset) {
  write_published();
  std::int64_t done = 0, total = 0;
  import_to_out({in_folder("")}, {.progress = [&](const char*, std::int64_t d, std::int64_t t) {
                  EXPECT_GT(d, done);
                  done = d;
                  total = t;
                }});
  EXPECT_EQ(done, 7);
  EXPECT_EQ(total, 7);
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.header().name, "out");
  EXPECT_EQ(file.split(Split::kTrain)->channels, 1);
  std::vector<std::uint8_t> images(5 * 12);
  file.read_images(Split::kTrain, 0, 5, images);
  EXPECT_EQ(images, test_images(0, 5, 12));
  images.resize(2 * 12);
  file.read_images(Split::kTest, 0, 2, images);
  EXPECT_EQ(images, test_images(5, 2, 12));
  EXPECT_THAT(file.read_labels(Split::kTrain), ElementsAre(0, 1, 2, 3, 255));
  EXPECT_THAT(file.read_labels(Split::kTest), ElementsAre(7, 8));
  ASSERT_EQ(file.header().sources.size(), 4U);
  EXPECT_EQ(file.header().sources[1].name, "train-labels-idx1-ubyte.gz");
  EXPECT_EQ(file.header().sources[1].sha256,
            sha256_of_file(in_folder("train-labels-idx1-ubyte.gz")));
}

TEST_F(IdxImports, sources_are_named_by_the_sums_that_sha256sum_prints) {
  write_bytes("abc", "abc");
  EXPECT_EQ(sha256_of_file(in_folder("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(IdxImports, size_and_limit_are_obeyed_and_told) {
  write_published();
  import_to_out({in_folder("")}, {.fit = {.height = 8, .width = 8}, .plan = {.limit = 3}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 3);
  EXPECT_EQ(file.split(Split::kTest)->images, 2);
  EXPECT_THAT(file.header().recipe,
              AllOf(HasSubstr("bilinear to 8x8"), HasSubstr("first 3 images")));
  std::vector<std::uint8_t> images(3 * 64), expected(3 * 64);
  file.read_images(Split::kTrain, 0, 3, images);
  Resizer(Filter::kBilinear, 3, 4, 8, 8).resize(test_images(0, 3, 12), expected);
  EXPECT_EQ(images, expected);
  EXPECT_THAT(file.read_labels(Split::kTrain), ElementsAre(0, 1, 2));
}

TEST_F(IdxImports, many_images_keep_their_order) {
  write_bytes("train-images-idx3-ubyte", idx({1000, 2, 2}, test_images(0, 1000, 4)));
  import_to_out({in_folder("train-images-idx3-ubyte")});
  const auto source = open_source(in_folder("out.h5"), Split::kTrain, CacheKind::kNone);
  EXPECT_EQ(read_ids(*source, first_ids(1000)), test_images(0, 1000, 4));
  EXPECT_FALSE(source->has_labels());
}

TEST_F(IdxImports, four_dimensions_have_channels) {
  write_packed("train-images-idx4-ubyte.gz", idx({4, 3, 2, 5}, test_images(0, 4, 30)));
  import_to_out({in_folder("train-images-idx4-ubyte.gz")});
  const auto source = open_source(in_folder("out.h5"), Split::kTrain, CacheKind::kNone);
  EXPECT_EQ(source->channels(), 3);
  EXPECT_EQ(source->height(), 2);
  EXPECT_EQ(source->width(), 5);
  EXPECT_EQ(read_ids(*source, first_ids(4)), test_images(0, 4, 30));
}

TEST_F(IdxImports, the_unpacked_copy_of_a_file_is_preferred) {
  write_published();
  write_packed("train-images-idx3-ubyte.gz", "damaged");
  import_to_out({in_folder("")});
  EXPECT_EQ(DatasetFile(in_folder("out.h5")).split(Split::kTrain)->images, 5);
}

TEST_F(IdxImports, truncated_files_are_refused_and_leave_nothing) {
  const std::string whole = idx({500, 3, 4}, test_images(0, 500, 12));
  for (const std::size_t length : {0UL, 3UL, 10UL, 16UL, 1000UL, whole.size() - 1}) {
    write_bytes("train-images-idx3-ubyte", whole.substr(0, length));
    EXPECT_THAT(refusal<DataError>({"train-images-idx3-ubyte"}),
                AllOf(HasSubstr("train-images-idx3-ubyte"), HasSubstr("truncated")))
        << length;
  }
  write_packed("train-images.gz", whole);
  const std::string packed = read_bytes(in_folder("train-images.gz"));
  for (const double part : {0.1, 0.5, 0.9, 0.999}) {
    write_bytes(
        "train-images.gz",
        packed.substr(0, static_cast<std::size_t>(part * static_cast<double>(packed.size()))));
    EXPECT_THAT(refusal<DataError>({"train-images.gz"}), HasSubstr("truncated")) << part;
  }
  std::string damaged = packed;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
  write_bytes("train-images.gz", damaged);
  EXPECT_THAT(refusal<DataError>({"train-images.gz"}), HasSubstr("train-images.gz"));
}

TEST_F(IdxImports, other_files_are_refused) {
  write_bytes("train-images", "PNG or so, with words");
  EXPECT_THAT(refusal<DataError>({"train-images"}), HasSubstr("is no IDX file"));
  write_bytes("train-images", idx({1, 2, 2}, {1, 2, 3, 4}, 0x0D));
  EXPECT_THAT(refusal<DataError>({"train-images"}), HasSubstr("type 13"));
  write_bytes("train-images", idx({4}, {1, 2, 3, 4}));
  EXPECT_THAT(refusal<DataError>({"train-images"}), HasSubstr("images have 3 or 4"));
  write_bytes("train-images", idx({2, 2}, {1, 2, 3, 4}));
  EXPECT_THAT(refusal<DataError>({"train-images"}), HasSubstr("2 dimensions"));
  write_bytes("train-images", idx({0, 2, 2}, {}));
  EXPECT_THAT(refusal<DataError>({"train-images"}), HasSubstr("is empty"));
  write_bytes("train-images", idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, {}));
  EXPECT_THAT(refusal<DataError>({"train-images"}), HasSubstr("truncated"));
  write_bytes("train-images", idx({1, 2, 2}, {1, 2, 3, 4, 5}));
  EXPECT_THAT(refusal<DataError>({"train-images"}), HasSubstr("goes on"));
}

TEST_F(IdxImports, an_image_beyond_any_use_is_refused_before_memory_is_taken) {
  std::string packed_well =
      idx({1, 16385, 16384}, {});  // a header that its length could be true to
  std::minstd_rand random;
  for (int i = 0; i < 300000; ++i) packed_well += static_cast<char>(random() >> 16);
  write_packed("train-images.gz", packed_well);
  EXPECT_THAT(refusal<DataError>({"train-images.gz"}),
              AllOf(HasSubstr("announces images of 268451840 bytes"), HasSubstr("268435456")));
}

TEST_F(IdxImports, more_images_than_a_split_may_have_are_refused) {
  std::string packed_well = idx({kMostImages + 1, 1, 1}, {});
  std::minstd_rand random;
  for (int i = 0; i < 300000; ++i) packed_well += static_cast<char>(random() >> 16);
  write_packed("train-images.gz", packed_well);
  EXPECT_THAT(refusal<DataError>({"train-images.gz"}),
              AllOf(HasSubstr("announces 268435457 images"), HasSubstr("268435456")));
}

TEST_F(IdxImports, parts_that_do_not_belong_together_are_refused) {
  write_published();
  write_bytes("train-labels", idx({4}, {1, 2, 3, 4}));
  EXPECT_THAT(refusal<DataError>({"train-images-idx3-ubyte", "train-labels"}),
              AllOf(HasSubstr("train-labels"), HasSubstr("5 images")));
  write_bytes("test-images", idx({1, 2, 2}, {1, 2, 3, 4}));
  EXPECT_THAT(refusal<DataError>({"train-images-idx3-ubyte", "test-images"}),
              AllOf(HasSubstr("1x2x2"), HasSubstr("1x3x4"), HasSubstr("--size")));
  write_bytes("train-images", idx({1, 2, 2}, {1, 2, 3, 4}));
  EXPECT_THAT(refusal<ConfigError>({"train-images-idx3-ubyte", "train-images"}),
              HasSubstr("could be the same part"));
  EXPECT_THAT(refusal<ConfigError>({"README"}), HasSubstr("README"));
  EXPECT_THAT(refusal<MissingInputError>({"train-labels"}), HasSubstr("images that belong"));
  EXPECT_THAT(refusal<MissingInputError>({"no/train-images"}), HasSubstr("no/train-images"));
  EXPECT_THAT(refusal<MissingInputError>({}), HasSubstr("--input"));
  std::filesystem::create_directory(in_folder("empty"));
  EXPECT_THAT(refusal<MissingInputError>({"empty"}), HasSubstr("no IDX files"));
}

TEST_F(IdxImports, the_published_fashion_mnist_is_read) {
  const std::string folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "the Debian package dataset-fashion-mnist is not installed";
  }
  import_to_out({folder}, {.fit = {.height = 32, .width = 32}, .plan = {.limit = 2000}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 2000);
  EXPECT_EQ(file.split(Split::kTest)->height, 32);
  const auto labels = file.read_labels(Split::kTrain);
  EXPECT_THAT(std::vector<std::int64_t>(labels.begin(), labels.begin() + 5),
              ElementsAre(9, 0, 0, 3, 0));
  EXPECT_NEAR(file.header().channel_mean.at(0), 0.2860, 0.01)
      << "of the whole training set at 28x28";
}

}  // namespace
}  // namespace gondola
