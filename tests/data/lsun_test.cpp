#include "data/importers/lsun.hpp"

#include <random>

#include "data/images/decode.hpp"
#include "data/importers/lmdb_file.hpp"
#include "tests/data/lmdb_files.hpp"
#include "tests/data/source_files.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LsunImports : public DataTest {
 protected:
  LsunImports() {
    const auto file = hdf5::open_file(GONDOLA_SOURCE_DIR "/tests/data/pillow.h5");
    const auto cases = hdf5::open_group(file.get(), "decode");
    for (const char* name : {"jpeg baseline", "webp lossy", "png colour"}) {
      const auto group = hdf5::open_group(cases.get(), name);
      pictures_.push_back(text_of(hdf5::read_dataset<std::uint8_t>(group.get(), "bytes")));
      pixels_.push_back(hdf5::read_dataset<std::uint8_t>(group.get(), "pixels"));
    }
  }
  /// Values of up to `most_bytes`, of keys that are not in the order in which they are put.
  [[nodiscard]] static LmdbEntries entries(std::size_t count, std::size_t most_bytes) {
    std::mt19937 random(count == 0 ? 1U : static_cast<unsigned>(count));
    LmdbEntries made;
    for (std::size_t i = 0; i < count; ++i) {
      std::string key = std::to_string(random()) + "-" + std::to_string(i);
      std::string value(random() % (most_bytes + 1), '\0');
      for (char& byte : value) byte = static_cast<char>(random());
      made.emplace_back(std::move(key), std::move(value));
    }
    return made;
  }
  template <typename Expected>
  std::string refusal(const std::vector<std::string>& names) const {
    return complaint<Expected>([&] {
      SourceOptions options;
      for (const auto& name : names) options.inputs.push_back(in_folder(name));
      const auto source = open_lsun(options);
      source->deliver([](ImportPlace) { return true; }, [](const RawImage&) {});
    });
  }

  std::vector<std::string> pictures_;
  std::vector<std::vector<std::uint8_t>> pixels_;
};

TEST_F(LsunImports, values_are_those_that_liblmdb_reads) {
  for (const auto& [count, most_bytes] : std::vector<std::pair<std::size_t, std::size_t>>{
           {1, 10}, {1, 20000}, {40, 100}, {300, 9000}, {20000, 60}}) {
    const std::string folder = in_folder("lmdb-" + std::to_string(count + most_bytes));
    write_lmdb(folder, entries(count, most_bytes));
    // A second transaction moves pages and makes the other meta page the later one.
    write_lmdb(folder, {{"0", "replaced"}, {"zzz", std::string(5000, 'x')}});
    const auto expected = read_lmdb(folder);
    const LmdbFile file(folder);
    ASSERT_EQ(file.values(), static_cast<std::int64_t>(expected.size()));
    for (std::int64_t i = 0; i < file.values(); ++i) {
      ASSERT_EQ(text_of(file.read_value(i)), expected[static_cast<std::size_t>(i)].second) << i;
    }
  }
}

TEST_F(LsunImports, folders_become_splits_in_the_order_of_their_keys) {
  write_lmdb(in_folder("bedroom_train_lmdb"),
             {{"b", pictures_[1]}, {"c", pictures_[2]}, {"a", pictures_[0]}});
  write_lmdb(in_folder("church_train_lmdb"), {{"x", pictures_[2]}});
  write_lmdb(in_folder("bedroom_val_lmdb"), {{"v", pictures_[1]}});
  const auto source =
      open_lsun({.inputs = {in_folder("bedroom_train_lmdb"), in_folder("bedroom_val_lmdb"),
                            in_folder("church_train_lmdb/data.mdb")}});
  EXPECT_THAT(source->listing().files, ElementsAre(in_folder("bedroom_train_lmdb/data.mdb"),
                                                   in_folder("bedroom_val_lmdb/data.mdb"),
                                                   in_folder("church_train_lmdb/data.mdb")));
  std::vector<std::vector<std::uint8_t>> train;
  for (const auto& image : images_of(*source, Split::kTrain)) {
    EXPECT_EQ(image.channels, 3);
    EXPECT_EQ(image.height, 19);
    EXPECT_EQ(image.width, 13);
    train.push_back(image.pixels);
  }
  EXPECT_THAT(train, ElementsAre(pixels_[0], pixels_[1], pixels_[2], pixels_[2]));
  const auto test = images_of(*source, Split::kTest);
  ASSERT_EQ(test.size(), 1U);
  EXPECT_EQ(test[0].pixels, pixels_[1]);
}

TEST_F(LsunImports, a_value_that_is_no_picture_is_named) {
  write_lmdb(in_folder("lmdb"), {{"a", pictures_[0]}, {"b", "words"}});
  const auto source = open_lsun({.inputs = {in_folder("lmdb")}});
  EXPECT_THAT(complaint<DataError>([&] { (void)images_of(*source, Split::kTrain); }),
              AllOf(HasSubstr("lmdb/data.mdb, image 1"), HasSubstr("is no JPEG")));
}

TEST_F(LsunImports, truncated_files_are_refused) {
  write_lmdb(in_folder("lmdb"), entries(100, 9000));
  const std::string whole = read_bytes(in_folder("lmdb/data.mdb"));
  for (std::size_t length = 0; length < whole.size(); length += 2048) {
    write_bytes("lmdb/data.mdb", whole.substr(0, length));
    EXPECT_THAT(refusal<DataError>({"lmdb"}),
                AllOf(HasSubstr("data.mdb is no LMDB or a damaged one"), HasSubstr("again")))
        << length;
  }
}

TEST_F(LsunImports, damage_in_pages_is_found_before_it_is_followed) {
  write_lmdb(in_folder("lmdb"), entries(2000, 3000));
  const std::string whole = read_bytes(in_folder("lmdb/data.mdb"));
  const auto damaged = [&](std::size_t place, const std::string& bytes) {
    std::string copy = whole;
    copy.replace(place, bytes.size(), bytes);
    write_bytes("lmdb/data.mdb", copy);
    return refusal<DataError>({"lmdb"});
  };
  // The second meta page is the later one: its tree's root at 4096 + 88 + 40, its depth at + 6.
  EXPECT_THAT(damaged(16, "xxxx"), HasSubstr("does not begin as one"));
  EXPECT_THAT(damaged(20, little_endian(2)), HasSubstr("format version 2"));
  EXPECT_THAT(damaged(40, little_endian(4097)), HasSubstr("pages of 4097 bytes"));
  EXPECT_THAT(damaged(4096 + 128, little_endian(0x7FFFFFFF)), HasSubstr("refers to page"));
  EXPECT_THAT(damaged(4096 + 94, little_endian(1)), HasSubstr("nonsense in page"));
  EXPECT_THAT(damaged(4096 + 120, little_endian(5)), HasSubstr("announces 5 entries"));
}

TEST_F(LsunImports, other_databases_are_refused) {
  write_lmdb(in_folder("several"), {{"a", "b"}}, 0, "named");
  EXPECT_THAT(refusal<DataError>({"several"}), HasSubstr("several databases"));
  write_lmdb(in_folder("duplicates"), {{"a", "b"}, {"a", "c"}}, MDB_DUPSORT);
  EXPECT_THAT(refusal<DataError>({"duplicates"}), HasSubstr("several values for a key"));
  write_lmdb(in_folder("empty"), {});
  EXPECT_THAT(refusal<DataError>({"empty"}), HasSubstr("holds no images"));
  EXPECT_THAT(refusal<MissingInputError>({"absent"}), HasSubstr("absent"));
  EXPECT_THAT(refusal<MissingInputError>({}), HasSubstr("--input"));
  std::filesystem::create_directory(in_folder("folder"));
  EXPECT_THAT(refusal<MissingInputError>({"folder"}), HasSubstr("folder/data.mdb"));
}

}  // namespace
}  // namespace gondola
