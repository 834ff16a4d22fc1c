#include "data/importers/norb.hpp"

#include "tests/data/source_files.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kTrainImages = "smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat";
constexpr const char* kTrainLabels = "smallnorb-5x46789x9x18x6x2x96x96-training-cat.mat";
constexpr const char* kTestImages = "smallnorb-5x01235x9x18x6x2x96x96-testing-dat.mat.gz";
constexpr const char* kTestLabels = "smallnorb-5x01235x9x18x6x2x96x96-testing-cat.mat.gz";

class NorbImports : public DataTest {
 protected:
  void write_published() const {
    write_bytes(kTrainImages, norb_images(3, 4, 5));
    write_bytes(kTrainLabels, norb_labels({4, 0, 2}));
    write_bytes(kTestImages, gzipped(norb_images(2, 4, 5)));
    write_bytes(kTestLabels, gzipped(norb_labels({1, 3})));
    write_bytes("smallnorb-5x46789x9x18x6x2x96x96-training-info.mat", "not read");
    write_bytes("README", "not read");
  }
  [[nodiscard]] std::unique_ptr<ImportSource> open(const std::vector<std::string>& names,
                                                   const std::string& cameras = "") const {
    SourceOptions options{.inputs = {}, .cameras = cameras};
    for (const auto& name : names) options.inputs.push_back(in_folder(name));
    return open_norb(options);
  }
  /// What opening (or else reading) these says with an error of this class.
  template <typename Expected>
  std::string refusal(const std::vector<std::string>& names,
                      const std::string& cameras = "") const {
    return complaint<Expected>([&] {
      const auto source = open(names, cameras);
      source->deliver([](ImportPlace) { return true; }, [](const RawImage&) {});
    });
  }
};

TEST_F(NorbImports, pairs_become_two_images_left_before_right) {
  write_published();
  const auto source = open({""});
  const auto& listing = source->listing();
  EXPECT_EQ(listing.of(Split::kTrain).images, 6);
  EXPECT_THAT(listing.of(Split::kTrain).labels, ElementsAre(4, 4, 0, 0, 2, 2));
  EXPECT_THAT(listing.of(Split::kTest).labels, ElementsAre(1, 1, 3, 3));
  EXPECT_THAT(listing.files, ElementsAre(in_folder(kTrainImages), in_folder(kTrainLabels),
                                         in_folder(kTestImages), in_folder(kTestLabels)));
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto images = images_of(*source, split);
    for (std::size_t i = 0; i < images.size(); ++i) {
      EXPECT_EQ(images[i].channels, 1);
      EXPECT_EQ(images[i].height, 4);
      EXPECT_EQ(images[i].width, 5);
      const auto pair = test_images(static_cast<std::int64_t>(i / 2), 1, 40);
      EXPECT_EQ(images[i].pixels, std::vector<std::uint8_t>(pair.begin() + (i % 2 == 0 ? 0 : 20),
                                                            pair.begin() + (i % 2 == 0 ? 20 : 40)));
    }
  }
}

TEST_F(NorbImports, pairs_become_one_image_of_two_channels) {
  write_published();
  const auto source = open({""}, "channels");
  EXPECT_THAT(source->listing().of(Split::kTrain).labels, ElementsAre(4, 0, 2));
  const auto images = images_of(*source, Split::kTrain);
  ASSERT_EQ(images.size(), 3U);
  EXPECT_EQ(images[1].channels, 2);
  EXPECT_EQ(images[1].pixels, test_images(1, 1, 40));
}

TEST_F(NorbImports, files_are_taken_one_by_one_and_delivered_as_often_as_wanted) {
  write_published();
  const auto source = open({kTestImages});
  EXPECT_THAT(source->listing().of(Split::kTest).labels, IsEmpty());
  EXPECT_EQ(source->listing().of(Split::kTrain).images, 0);
  for (int time = 0; time < 2; ++time) {
    std::vector<std::string> names;
    source->deliver([](ImportPlace place) { return place.index == 1 || place.index == 2; },
                    [&](const RawImage& raw) { names.push_back(raw.name); });
    EXPECT_THAT(names, ElementsAre(in_folder(kTestImages) + ", pair 0, right",
                                   in_folder(kTestImages) + ", pair 1, left"));
  }
}

TEST_F(NorbImports, truncated_files_are_refused) {
  const std::string whole = norb_images(9, 4, 5), packed = gzipped(whole);
  for (const std::size_t length : {0UL, 3UL, 9UL, 20UL, 23UL, 24UL, 100UL, whole.size() - 1}) {
    write_bytes(kTrainImages, whole.substr(0, length));
    EXPECT_THAT(refusal<DataError>({kTrainImages}),
                AllOf(HasSubstr(kTrainImages), HasSubstr("truncated")))
        << length;
  }
  for (const std::size_t length : {20UL, 40UL, packed.size() / 2, packed.size() - 9}) {
    write_bytes(kTestImages, packed.substr(0, length));
    EXPECT_THAT(refusal<DataError>({kTestImages}), HasSubstr("truncated")) << length;
  }
  write_bytes(kTrainImages, whole + "x");
  EXPECT_THAT(refusal<DataError>({kTrainImages}), HasSubstr("goes on"));
}

TEST_F(NorbImports, other_files_are_refused) {
  write_bytes(kTrainImages, "PNG or so, with words and words");
  EXPECT_THAT(refusal<DataError>({kTrainImages}),
              HasSubstr("matrix of bytes (0x1E3D4C55) but with 0x20474E50"));
  write_bytes(kTrainImages, norb_labels({1, 2, 3}));
  EXPECT_THAT(refusal<DataError>({kTrainImages}), HasSubstr("but with 0x1E3D4C54"));
  write_bytes(kTrainImages, norb_matrix(0x1E3D4C55, {5}, "12345"));
  EXPECT_THAT(refusal<DataError>({kTrainImages}), HasSubstr("has 1 dimensions where 4"));
  write_bytes(kTrainImages, norb_matrix(0x1E3D4C55, {1, 3, 1, 1}, "123"));
  EXPECT_THAT(refusal<DataError>({kTrainImages}), HasSubstr("3 views"));
  write_bytes(kTrainImages, norb_matrix(0x1E3D4C55, {0, 2, 4, 5}, ""));
  EXPECT_THAT(refusal<DataError>({kTrainImages}), HasSubstr("is empty"));
  write_bytes(kTrainImages,
              norb_matrix(0x1E3D4C55, {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, ""));
  EXPECT_THAT(refusal<DataError>({kTrainImages}), HasSubstr("more than such a file can hold"));
}

TEST_F(NorbImports, parts_that_do_not_belong_together_are_refused) {
  write_published();
  write_bytes(kTrainLabels, norb_labels({1, 2}));
  EXPECT_THAT(refusal<DataError>({""}), AllOf(HasSubstr("2 labels"), HasSubstr("3 pairs")));
  EXPECT_THAT(refusal<MissingInputError>({kTrainLabels}), HasSubstr("images that belong"));
  EXPECT_THAT(refusal<MissingInputError>({"no-training-dat.mat"}), HasSubstr("no-training-dat"));
  EXPECT_THAT(refusal<MissingInputError>({}), HasSubstr("--input"));
  EXPECT_THAT(refusal<ConfigError>({"README"}), HasSubstr("README"));
  EXPECT_THAT(refusal<ConfigError>({kTrainImages}, "both"), HasSubstr("--cameras both"));
  write_bytes("other-training-dat.mat", norb_images(3, 4, 5));
  EXPECT_THAT(refusal<ConfigError>({""}), HasSubstr("could be the same part"));
  std::filesystem::create_directory(in_folder("empty"));
  EXPECT_THAT(refusal<MissingInputError>({"empty"}), HasSubstr("-training-dat.mat"));
}

}  // namespace
}  // namespace gondola
