#include <algorithm>
#include <cstdlib>

#include "tests/data/imports.hpp"

namespace gondola {
namespace {

std::string checksum_of(const std::string& path, Split split = Split::kTrain) {
  return DatasetFile(path).split(split)->images_checksum;
}

/// The published files, where they are.
class RealImages : public Imports {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("GONDOLA_SHARED");
    if (shared == nullptr || !std::filesystem::exists(std::string(shared) + "/data")) {
      GTEST_SKIP() << "GONDOLA_SHARED names no folder with data/";
    }
    data_ = std::string(shared) + "/data/";
  }
  std::string data_;
};

TEST_F(RealImages, mnist) {
  import_from("idx", {data_ + "mnist"});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 60000);
  EXPECT_EQ(file.split(Split::kTest)->images, 10000);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "ee3d62f55dfafffb");
  EXPECT_EQ(checksum_of(in_folder("out.h5"), Split::kTest), "6d9df6004ed35f23");
}

TEST_F(RealImages, cifar10) {
  import_from("cifar10", {data_ + "cifar-10"});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 10000);
  EXPECT_EQ(file.split(Split::kTest)->images, 10000);
  const auto labels = file.read_labels(Split::kTest);
  for (std::int64_t digit = 0; digit < 10; ++digit) {
    EXPECT_EQ(std::count(labels.begin(), labels.end(), digit), 1000);
  }
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "59dbaa422980a629");
  EXPECT_EQ(checksum_of(in_folder("out.h5"), Split::kTest), "13e614c0cd7d1c11");
}

TEST_F(RealImages, celeba) {
  import_from("celeba", {data_ + "celeba-aligned-89x109-000001-010000.tar.xz"},
              {.fit = {.height = 64, .width = 64}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 10000);
  EXPECT_EQ(file.split(Split::kTrain)->channels, 3);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "16268442a3725c83");
}

TEST_F(RealImages, bedrooms) {
  import_from("images", {data_ + "houses-bedrooms.tar"},
              {.fit = {.height = 128, .width = 128, .crop = FitOptions::Crop::kCenter}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 535);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "88154c642b08c0aa");
}

TEST_F(RealImages, photographs) {
  import_from("images", {data_ + "photos"},
              {.fit = {.height = 256, .width = 384, .crop = FitOptions::Crop::kCenter}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 8);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "02d90c857828ecf4");
}

TEST_F(Imports, fashion_mnist_from_its_package) {
  const std::string folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "the Debian package dataset-fashion-mnist is not installed";
  }
  import_from("idx", {folder});
  EXPECT_EQ(DatasetFile(in_folder("out.h5")).split(Split::kTrain)->images, 60000);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "c11b6543ae1530f3");
  EXPECT_EQ(checksum_of(in_folder("out.h5"), Split::kTest), "acf1cd2c87a40a9b");
}

}  // namespace
}  // namespace gondola
