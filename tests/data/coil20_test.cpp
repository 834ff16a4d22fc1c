#include "data/importers/coil20.hpp"

#include <cstdlib>

#include "data/checksum.hpp"
#include "data/images/png.hpp"
#include "tests/data/source_files.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Coil20Imports : public DataTest {
 protected:
  void write_picture(const std::string& name, std::uint8_t value) const {
    const std::vector<std::uint8_t> pixels(6, value);
    std::filesystem::create_directories(std::filesystem::path(in_folder(name)).parent_path());
    write_png(in_folder(name), 2, 3, 1, pixels);
  }
};

TEST_F(Coil20Imports, pictures_are_ordered_by_object_and_pose) {
  write_picture("coil/obj10__2.png", 102);
  write_picture("coil/obj2__11.png", 32);
  write_picture("coil/more/obj2__9.png", 29);
  write_picture("coil/obj1__0.png", 10);
  write_picture("coil/obj1_0.png", 0);
  write_picture("coil/obj0__0.png", 0);
  write_picture("coil/obj1__0.png.png", 0);
  write_bytes("coil/readme.txt", "words");
  const auto source = open_coil20({.inputs = {in_folder("coil")}});
  EXPECT_THAT(source->listing().of(Split::kTrain).labels, ElementsAre(0, 1, 1, 9));
  std::vector<std::uint8_t> values;
  for (const auto& image : images_of(*source, Split::kTrain)) values.push_back(image.pixels.at(0));
  EXPECT_THAT(values, ElementsAre(10, 29, 32, 102));
}

TEST_F(Coil20Imports, what_does_not_fit_is_refused) {
  const auto says = [&](const std::vector<std::string>& names) {
    SourceOptions options;
    for (const auto& name : names) options.inputs.push_back(in_folder(name));
    return complaint<MissingInputError>([&] { (void)open_coil20(options); });
  };
  write_picture("none/picture.png", 1);
  EXPECT_THAT(says({"none"}), AllOf(HasSubstr("obj1__0.png"), HasSubstr("none")));
  EXPECT_THAT(says({}), HasSubstr("--input"));
  EXPECT_THAT(says({"absent"}), HasSubstr("absent"));
  write_picture("a/obj1__0.png", 1);
  write_picture("b/obj1__0.png", 1);
  EXPECT_THAT(
      complaint<DataError>([&] {
        (void)open_coil20({.inputs = {in_folder("a"), in_folder("b")}});
      }),
      AllOf(HasSubstr("a/obj1__0.png"), HasSubstr("b/obj1__0.png"), HasSubstr("same view")));
}

TEST_F(Coil20Imports, the_published_archive_is_read) {
  const char* shared = std::getenv("GONDOLA_SHARED");
  const auto path =
      std::filesystem::path(shared == nullptr ? "" : shared) / "data/coil-20-proc.tar.xz";
  if (shared == nullptr || !std::filesystem::exists(path)) {
    GTEST_SKIP() << "GONDOLA_SHARED names no folder with data/coil-20-proc.tar.xz";
  }
  const auto source = open_coil20({.inputs = {path}});
  const auto& listing = source->listing().of(Split::kTrain);
  EXPECT_EQ(listing.images, 1440);
  for (std::int64_t label = 0; label < 20; ++label) {
    EXPECT_EQ(std::count(listing.labels.begin(), listing.labels.end(), label), 72) << label;
  }
  Xxh3 sum;
  for (const auto& image : images_of(*source, Split::kTrain)) {
    EXPECT_EQ(image.channels, 1);
    EXPECT_EQ(image.height, 128);
    EXPECT_EQ(image.width, 128);
    sum.update(image.pixels.data(), image.pixels.size());
  }
  EXPECT_EQ(sum.hex(), "7afca1ff424d4666");
}

}  // namespace
}  // namespace gondola
