#include <cmath>

#include "data/importers/hdf5.hpp"
#include "data/importers/import_job.hpp"
#include "tests/data/foreign_files.hpp"
#include "tests/data/source_files.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Hdf5Imports : public ForeignFiles {
 protected:
  [[nodiscard]] std::unique_ptr<ImportSource> open(const std::string& name,
                                                   const std::string& dataset = "") const {
    return open_hdf5({.inputs = {in_folder(name)}, .dataset = dataset});
  }
  void expect_images(const std::string& name, std::int64_t n, std::int64_t c, std::int64_t h,
                     std::int64_t w) const {
    const auto source = open(name);
    const auto images = images_of(*source, Split::kTrain);
    ASSERT_EQ(static_cast<std::int64_t>(images.size()), n) << name;
    for (std::int64_t id = 0; id < n; ++id) {
      const auto& image = images[static_cast<std::size_t>(id)];
      EXPECT_EQ(image.channels, c) << name;
      EXPECT_EQ(image.height, h) << name;
      EXPECT_EQ(image.width, w) << name;
      ASSERT_EQ(image.pixels, test_images(id, 1, c * h * w)) << name << id;
    }
  }
  template <typename Expected>
  std::string refusal(const std::string& name, const std::string& dataset = "") const {
    return complaint<Expected>([&] { (void)images_of(*open(name, dataset), Split::kTrain); });
  }
};

TEST_F(Hdf5Imports, every_layout_and_type_gives_the_same_images) {
  store("nchw.h5", {.shape = {7, 3, 5, 4}}, values(7, 3, 5, 4, false));
  store("nhwc.h5", {.shape = {7, 5, 4, 3}}, values(7, 3, 5, 4, true));
  store("chunked.h5", {.shape = {7, 5, 4, 3}, .type = H5T_NATIVE_FLOAT, .chunk = {2, 3, 4, 2}},
        values(7, 3, 5, 4, true, 1.0 / 255.0));
  store("double.h5", {.shape = {7, 3, 5, 4}, .type = H5T_IEEE_F64BE, .chunk = {3, 3, 5, 4}},
        values(7, 3, 5, 4, false));
  store("int.h5", {.path = "deep/er/x", .shape = {7, 3, 5, 4}, .type = H5T_STD_I32LE},
        values(7, 3, 5, 4, false));
  for (const char* name : {"nchw.h5", "nhwc.h5", "chunked.h5", "double.h5", "int.h5"}) {
    expect_images(name, 7, 3, 5, 4);
  }
  EXPECT_THAT(open("chunked.h5")->listing().recipe, HasSubstr("train /images 7x5x4x3 times 255"));
  EXPECT_THAT(open("double.h5")->listing().recipe, Not(HasSubstr("times")));
}

TEST_F(Hdf5Imports, grey_images_have_three_dimensions_or_one_channel) {
  store("nhw.h5", {.shape = {4, 5, 6}}, values(4, 1, 5, 6, false));
  store("n1hw.h5", {.shape = {4, 1, 5, 6}}, values(4, 1, 5, 6, false));
  store("nhw1.h5", {.shape = {4, 5, 6, 1}}, values(4, 1, 5, 6, true));
  for (const char* name : {"nhw.h5", "n1hw.h5", "nhw1.h5"}) expect_images(name, 4, 1, 5, 6);
}

TEST_F(Hdf5Imports, blocks_of_many_images_keep_their_order) {
  store("many.h5", {.shape = {3000, 1, 50, 60}, .chunk = {7, 1, 50, 60}},
        values(3000, 1, 50, 60, false));
  expect_images("many.h5", 3000, 1, 50, 60);
}

TEST_F(Hdf5Imports, splits_and_labels_lie_where_they_are_expected) {
  store("both.h5", {.path = "train/images", .shape = {3, 2, 2}}, values(3, 1, 2, 2, false));
  store("both.h5", {.path = "test/images", .shape = {2, 2, 2}}, values(2, 1, 2, 2, false));
  store("both.h5", {.path = "train/labels", .shape = {3, 1}, .type = H5T_STD_I16LE}, {5, -1, 7});
  store("both.h5", {.path = "test/label", .shape = {2}}, {1, 2});
  const auto source = open("both.h5");
  EXPECT_THAT(source->listing().of(Split::kTrain).labels, ElementsAre(5, -1, 7));
  EXPECT_THAT(source->listing().of(Split::kTest).labels, ElementsAre(1, 2));
  EXPECT_EQ(images_of(*source, Split::kTest).size(), 2U);
  const auto one = open("both.h5", "/test/images");
  EXPECT_EQ(one->listing().of(Split::kTrain).images, 2);
  EXPECT_EQ(one->listing().of(Split::kTest).images, 0);
  EXPECT_THAT(one->listing().of(Split::kTrain).labels, ElementsAre(1, 2));
}

TEST_F(Hdf5Imports, a_file_made_of_another_dataset_is_not_kept) {
  store("both.h5", {.path = "a", .shape = {3, 2, 2}}, values(3, 1, 2, 2, false));
  store("both.h5", {.path = "b", .shape = {3, 2, 2}}, std::vector<double>(12));
  const auto import_of = [&](const std::string& dataset) {
    const auto source = open("both.h5", dataset);
    return run_import(*source, {.output = in_folder("out.h5"), .name = "test"});
  };
  EXPECT_THAT(import_of("/a").made, SizeIs(1));
  EXPECT_THAT(import_of("a").kept, SizeIs(1)) << "the same by another name";
  EXPECT_THAT(complaint<ConfigError>([&] { (void)import_of("/b"); }), HasSubstr("another import"));
}

TEST_F(Hdf5Imports, only_what_is_wanted_is_delivered) {
  store("a.h5", {.shape = {9, 2, 2}, .chunk = {2, 2, 2}}, values(9, 1, 2, 2, false));
  std::vector<std::string> names;
  open("a.h5")->deliver([](ImportPlace place) { return place.index == 4; },
                        [&](const RawImage& raw) { names.push_back(raw.name); });
  EXPECT_THAT(names, ElementsAre("dataset /images of " + in_folder("a.h5") + ", image 4"));
}

TEST_F(Hdf5Imports, fractions_are_rounded_half_up) {
  store("wide.h5", {.shape = {1, 2, 2}, .type = H5T_NATIVE_FLOAT}, {0.49, 1.5, 2.4, 255});
  EXPECT_THAT(images_of(*open("wide.h5"), Split::kTrain).at(0).pixels, ElementsAre(0, 2, 2, 255));
  store("unit.h5", {.shape = {1, 2, 2}, .type = H5T_NATIVE_DOUBLE}, {0, 0.5, 0.1, 1});
  EXPECT_THAT(images_of(*open("unit.h5"), Split::kTrain).at(0).pixels,
              ElementsAre(0, 128, 26, 255));
}

TEST_F(Hdf5Imports, values_out_of_range_are_refused_with_their_place) {
  auto some = values(3, 1, 2, 2, false, 1.0 / 255.0);
  some[6] = -0.5;
  store("negative.h5", {.shape = {3, 2, 2}, .type = H5T_NATIVE_FLOAT}, some);
  EXPECT_THAT(refusal<DataError>("negative.h5"),
              AllOf(HasSubstr("image 1 has the value -0.5"), HasSubstr("place 2"),
                    HasSubstr("0 to 1 are possible")));
  some[6] = std::nan("");
  store("nan.h5", {.shape = {3, 2, 2}, .type = H5T_NATIVE_DOUBLE}, some);
  EXPECT_THAT(refusal<DataError>("nan.h5"), HasSubstr("has the value nan"));
  some[6] = 256;
  store("wide.h5", {.shape = {3, 2, 2}, .type = H5T_STD_U16LE}, some);
  EXPECT_THAT(refusal<DataError>("wide.h5"),
              AllOf(HasSubstr("the value 256"), HasSubstr("0 to 255 are possible")));
}

TEST_F(Hdf5Imports, other_files_are_refused) {
  store("flat.h5", {.shape = {3, 2}}, std::vector<double>(6));
  EXPECT_THAT(refusal<DataError>("flat.h5"), HasSubstr("no dataset of 3 or 4 dimensions"));
  EXPECT_THAT(refusal<DataError>("flat.h5", "images"), HasSubstr("the shape 3x2"));
  EXPECT_THAT(refusal<DataError>("flat.h5", "absent/x"), HasSubstr("absent/x"));
  store("two.h5", {.path = "x_train", .shape = {3, 2, 2}}, std::vector<double>(12));
  store("two.h5", {.path = "x_test", .shape = {3, 2, 2}}, std::vector<double>(12));
  EXPECT_THAT(refusal<ConfigError>("two.h5"),
              AllOf(HasSubstr("/x_test, /x_train"), HasSubstr("--dataset")));
  store("empty.h5", {.shape = {0, 2, 2}}, {});
  EXPECT_THAT(refusal<DataError>("empty.h5"), HasSubstr("is empty"));
  store("labels.h5", {.shape = {3, 2, 2}}, std::vector<double>(12));
  store("labels.h5", {.path = "labels", .shape = {4}}, std::vector<double>(4));
  EXPECT_THAT(refusal<DataError>("labels.h5"), AllOf(HasSubstr("4 labels"), HasSubstr("3 images")));
  write_bytes("words.h5", "words");
  EXPECT_THAT(refusal<DataError>("words.h5"), HasSubstr("is not an HDF5 file"));
  EXPECT_THAT(refusal<MissingInputError>("absent.h5"), HasSubstr("absent.h5"));
}

TEST_F(Hdf5Imports, truncated_files_are_refused) {
  store("a.h5", {.shape = {50, 3, 8, 8}, .type = H5T_NATIVE_FLOAT, .chunk = {5, 3, 8, 8}},
        values(50, 3, 8, 8, false));
  const std::string whole = read_bytes(in_folder("a.h5"));
  for (std::size_t length = 0; length < whole.size(); length += whole.size() / 40) {
    write_bytes("a.h5", whole.substr(0, length));
    EXPECT_THAT(refusal<DataError>("a.h5"), HasSubstr("a.h5")) << length;
  }
}

TEST_F(Hdf5Imports, damaged_chunks_are_named) {
  store("a.h5", {.shape = {50, 3, 8, 8}, .chunk = {5, 3, 8, 8}}, values(50, 3, 8, 8, false));
  std::string damaged = read_bytes(in_folder("a.h5"));
  for (std::size_t i = damaged.size() * 2 / 3; i < damaged.size() * 2 / 3 + 64; ++i)
    damaged[i] = 'x';
  write_bytes("a.h5", damaged);
  EXPECT_THAT(refusal<DataError>("a.h5"),
              AllOf(HasSubstr("cannot be read at images"), HasSubstr("a.h5")));
}

}  // namespace
}  // namespace gondola
