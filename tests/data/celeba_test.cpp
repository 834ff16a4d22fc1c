#include <tuple>

#include "tests/data/imports.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST_F(Imports, celeba_is_cut_as_torchvision_cuts_and_sorted_by_its_list) {
  for (std::int64_t i = 0; i < 4; ++i) {
    write_picture(in_folder("faces/00000" + std::to_string(i + 1) + ".png"), i, 218, 178);
  }
  write_bytes("list_eval_partition.txt",
              "000001.png 0\n000002.png 1\n000003.png 2\n000004.png 0\n000009.png 1\n");
  import_from("celeba", {"faces", "list_eval_partition.txt"});
  const DatasetFile file(in_folder("out.h5"));
  ASSERT_EQ(file.split(Split::kTrain)->images, 2);
  ASSERT_EQ(file.split(Split::kTest)->images, 1);
  EXPECT_EQ(file.split(Split::kTrain)->height, 148);
  const auto images = images_of("out.h5");
  EXPECT_EQ(images[0], test_byte(0, 35 * 178 + 15));
  EXPECT_EQ(images[2 * 148 * 148 - 1], test_byte(3, (35 + 147) * 178 + 15 + 147));
  EXPECT_EQ(images_of("out.h5", Split::kTest)[0], test_byte(2, 35 * 178 + 15));
}

TEST_F(Imports, celeba_as_png_files_is_sorted_by_the_list_of_the_jpg_files) {
  write_picture(in_folder("faces/000001.png"), 0, 218, 178);
  write_picture(in_folder("faces/000002.png"), 1, 218, 178);
  write_bytes("list_eval_partition.txt", "000001.jpg 2\n000002.jpg 0\n");
  import_from("celeba", {"faces", "list_eval_partition.txt"});
  EXPECT_EQ(images_of("out.h5")[0], test_byte(1, 35 * 178 + 15));
  EXPECT_EQ(images_of("out.h5", Split::kTest)[0], test_byte(0, 35 * 178 + 15));
}

TEST_F(Imports, celeba_at_half_size_is_recognised) {
  write_picture(in_folder("faces/1.png"), 0, 109, 89);
  for (const auto& [side, top, left] :
       {std::tuple(148, 18, 8), std::tuple(140, 20, 10), std::tuple(178, 10, 0)}) {
    const std::string name = "out" + std::to_string(side) + ".h5";
    import_from("celeba", {"faces"}, {.output = in_folder(name)}, {.face_crop = side});
    EXPECT_EQ(DatasetFile(in_folder(name)).split(Split::kTrain)->width, side / 2);
    EXPECT_EQ(images_of(name)[0], test_byte(0, top * 89 + left)) << side;
  }
}

TEST_F(Imports, celeba_that_is_something_else_is_refused) {
  write_picture(in_folder("faces/1.png"), 0, 100, 100);
  EXPECT_THAT(complaint<DataError>([&] { import_from("celeba", {"faces"}); }),
              AllOf(HasSubstr("1.png"), HasSubstr("100 pixels wide"), HasSubstr("178 by 218")));
  write_bytes("list_eval_partition.txt", "2.png 0\n");
  EXPECT_THAT(complaint<DataError>([&] {
                import_from("celeba", {"faces", "list_eval_partition.txt"});
              }),
              HasSubstr("not in the partition list"));
  write_bytes("list_eval_partition.txt", "1.png 0\n1.png three\n");
  EXPECT_THAT(complaint<DataError>([&] {
                import_from("celeba", {"faces", "list_eval_partition.txt"});
              }),
              AllOf(HasSubstr("line 2"), HasSubstr("1.png three")));
  EXPECT_THAT(
      complaint<ConfigError>([&] { import_from("celeba", {"faces"}, {}, {.face_crop = 147}); }),
      HasSubstr("147"));
}

}  // namespace
}  // namespace gondola
