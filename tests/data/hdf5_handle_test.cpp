#include "data/hdf5_handle.hpp"

#include "data/hdf5_attributes.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Hdf5Handle = DataTest;

TEST_F(Hdf5Handle, attributes_come_back_as_written) {
  {
    auto file = hdf5::create_file(in_folder("a.h5"));
    const hid_t root = file.get();
    hdf5::write_attribute(root, "text", std::string("h\u00e9llo"));
    hdf5::write_attribute(root, "empty", std::string());
    hdf5::write_attribute(root, "whole", std::int64_t{-5});
    hdf5::write_attribute(root, "whole", std::int64_t{1} << 60);  // replaces
    hdf5::write_attribute(root, "real", 0.1);
    hdf5::write_attribute(root, "texts",
                          std::span<const std::string>(std::vector<std::string>{"a", ""}));
    hdf5::write_attribute(root, "reals", std::span<const double>(std::vector<double>{1.5, -2.5}));
    hdf5::write_attribute(root, "none", std::span<const std::int64_t>());
    file.close();
  }
  const auto file = hdf5::open_file(in_folder("a.h5"));
  const hid_t root = file.get();
  EXPECT_EQ(hdf5::read_string_attribute(root, "text"), "h\u00e9llo");
  EXPECT_EQ(hdf5::read_string_attribute(root, "empty"), "");
  EXPECT_EQ(hdf5::read_i64_attribute(root, "whole"), std::int64_t{1} << 60);
  EXPECT_EQ(hdf5::read_f64_attribute(root, "real"), 0.1);
  EXPECT_THAT(hdf5::read_strings_attribute(root, "texts"), ElementsAre("a", ""));
  EXPECT_THAT(hdf5::read_f64s_attribute(root, "reals"), ElementsAre(1.5, -2.5));
  EXPECT_THAT(hdf5::read_i64s_attribute(root, "none"), IsEmpty());
}

TEST_F(Hdf5Handle, a_missing_or_foreign_attribute_is_named) {
  auto file = hdf5::create_file(in_folder("a.h5"));
  hdf5::write_attribute(file.get(), "real", 0.5);
  EXPECT_THAT(complaint<DataError>([&] { (void)hdf5::read_i64_attribute(file.get(), "step"); }),
              AllOf(HasSubstr("attribute step"), HasSubstr("a.h5"), HasSubstr("missing")));
  EXPECT_THAT(complaint<DataError>([&] { (void)hdf5::read_i64_attribute(file.get(), "real"); }),
              HasSubstr("attribute real"));
  EXPECT_THAT(complaint<DataError>([&] { (void)hdf5::read_string_attribute(file.get(), "real"); }),
              HasSubstr("not text"));
}

TEST_F(Hdf5Handle, datasets_come_back_with_their_shape_and_only_in_their_type) {
  auto file = hdf5::create_file(in_folder("a.h5"));
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<std::int64_t> shape = {2, 3};
  hdf5::write_dataset<float>(file.get(), "x", values, shape);
  hdf5::write_dataset<float>(file.get(), "scalar", std::span(values).first(1), {});
  hdf5::write_dataset<float>(file.get(), "nothing", {}, std::vector<std::int64_t>{0, 4});
  std::vector<std::int64_t> got;
  EXPECT_EQ(hdf5::read_dataset<float>(file.get(), "x", &got), values);
  EXPECT_EQ(got, shape);
  EXPECT_THAT(hdf5::read_dataset<float>(file.get(), "scalar", &got), ElementsAre(1));
  EXPECT_THAT(got, IsEmpty());
  EXPECT_THAT(hdf5::read_dataset<float>(file.get(), "nothing"), IsEmpty());
  EXPECT_THAT(hdf5::link_names(file.get()), ElementsAre("nothing", "scalar", "x"));
  EXPECT_THAT(hdf5::link_names(file.get(), 2), ElementsAre("nothing", "scalar"));
  EXPECT_THAT(hdf5::link_names(file.get(), 0), IsEmpty());
  for (const auto& wrong :
       {complaint<DataError>([&] { (void)hdf5::read_dataset<double>(file.get(), "x"); }),
        complaint<DataError>([&] { (void)hdf5::read_dataset<std::int32_t>(file.get(), "x"); })}) {
    EXPECT_THAT(wrong, AllOf(HasSubstr("dataset x"), HasSubstr("another type")));
  }
  EXPECT_THAT(complaint<DataError>([&] { (void)hdf5::read_dataset<float>(file.get(), "y"); }),
              AllOf(HasSubstr("dataset y"), HasSubstr("missing")));
}

TEST_F(Hdf5Handle, a_claim_beyond_the_file_is_refused_before_memory_is_taken) {
  const auto path = in_folder("huge.h5");
  {
    auto file = hdf5::create_file(path);
    const hsize_t size = hsize_t{1} << 50;
    for (const char* name : {"unwritten", "packed"}) {
      const hdf5::Handle space(H5Screate_simple(1, &size, nullptr), H5Sclose);
      const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
      const hsize_t chunk = 1 << 20;
      if (std::string(name) == "packed") H5Pset_chunk(creation.get(), 1, &chunk);
      hdf5::Handle dataset(H5Dcreate2(file.get(), name, H5T_NATIVE_UINT8, space.get(), H5P_DEFAULT,
                                      creation.get(), H5P_DEFAULT),
                           H5Dclose);
      ASSERT_TRUE(dataset);
    }
    file.close();
  }
  const auto file = hdf5::open_file(path);
  for (const char* name : {"unwritten", "packed"}) {
    EXPECT_THAT(
        complaint<DataError>([&] { (void)hdf5::read_dataset<std::uint8_t>(file.get(), name); }),
        AllOf(HasSubstr(name), HasSubstr("1125899906842624 bytes")));
  }
}

TEST_F(Hdf5Handle, opening_says_what_is_wrong_with_the_file) {
  EXPECT_THAT(complaint<MissingInputError>([&] { (void)hdf5::open_file(in_folder("no.h5")); }),
              HasSubstr("no.h5"));
  write_bytes("text.h5", "hello");
  EXPECT_THAT(complaint<DataError>([&] { (void)hdf5::open_file(in_folder("text.h5")); }),
              AllOf(HasSubstr("text.h5"), HasSubstr("not an HDF5 file"), HasSubstr("5 bytes")));
  EXPECT_THAT(complaint<DataError>([&] { (void)hdf5::open_file(in_folder("")); }),
              HasSubstr("is not a file"));
  EXPECT_THAT(complaint<IoError>([&] { (void)hdf5::create_file(in_folder("none/a.h5")); }),
              HasSubstr("none/a.h5"));
}

}  // namespace
}  // namespace gondola
