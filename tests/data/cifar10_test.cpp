#include "tests/data/archive_files.hpp"
#include "tests/data/imports.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string cifar_records(std::int64_t first, std::int64_t count) {
  std::string bytes;
  for (std::int64_t id = first; id < first + count; ++id) {
    bytes += static_cast<char>(id % 10);
    const auto pixels = test_images(id, 1, 3072);
    bytes.append(pixels.begin(), pixels.end());
  }
  return bytes;
}

TEST_F(Imports, cifar10_is_read_from_files_folders_and_archives) {
  std::filesystem::create_directories(in_folder("c"));
  write_bytes("c/data_batch_1.bin", cifar_records(0, 3));
  write_bytes("c/data_batch_2.bin", cifar_records(3, 2));
  write_bytes("c/test_batch.bin", cifar_records(5, 4));
  write_bytes("c/batches.meta.txt", "airplane");
  write_archive(in_folder("c.tar.gz"),
                {{"cifar-10-batches-bin/test_batch.bin", cifar_records(5, 4)},
                 {"cifar-10-batches-bin/data_batch_2.bin", cifar_records(3, 2)},
                 {"cifar-10-batches-bin/data_batch_1.bin", cifar_records(0, 3)}});
  for (const std::string input : {"c", "c.tar.gz"}) {
    import_from("cifar10", {input}, {.output = in_folder(input + ".h5")});
    EXPECT_EQ(images_of(input + ".h5"), test_images(0, 5, 3072)) << input;
    EXPECT_EQ(images_of(input + ".h5", Split::kTest), test_images(5, 4, 3072)) << input;
    const DatasetFile file(in_folder(input + ".h5"));
    EXPECT_THAT(file.read_labels(Split::kTrain), ElementsAre(0, 1, 2, 3, 4));
    EXPECT_EQ(file.header().sources.size(), input == "c" ? 3U : 1U);
  }
}

TEST_F(Imports, cifar10_that_is_damaged_is_refused) {
  write_bytes("data_batch_1.bin", cifar_records(0, 3).substr(1));
  EXPECT_THAT(complaint<DataError>([&] { import_from("cifar10", {"data_batch_1.bin"}); }),
              AllOf(HasSubstr("9218 bytes"), HasSubstr("truncated")));
  auto bytes = cifar_records(0, 3);
  bytes[3073] = 10;
  write_bytes("data_batch_1.bin", bytes);
  EXPECT_THAT(complaint<DataError>([&] { import_from("cifar10", {"data_batch_1.bin"}); }),
              AllOf(HasSubstr("image 1"), HasSubstr("label 10")));
  write_bytes("data_batch_1.bin.xz", "words");
  EXPECT_THAT(complaint<DataError>([&] { import_from("cifar10", {"data_batch_1.bin.xz"}); }),
              HasSubstr("data_batch_1.bin.xz"));
}

}  // namespace
}  // namespace gondola
