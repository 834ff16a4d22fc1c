#include "trainer/passed_over.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "configs/errors.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

using PassedOver = FolderTest;

BadStep of_three_images() {
  return {.step = 9,
          .cursor = {.epoch = 1, .batch = 2},
          .trouble = Trouble::kLoss,
          .positions = {1},
          .ids = {70, 71, 72}};
}

TEST_F(PassedOver, an_image_of_its_own_fault_stands_out_from_its_batch) {
  EXPECT_EQ(passed_over_lines(of_three_images()),
            "9,1,6,70,batch\n9,1,7,71,loss\n9,1,8,72,batch\n");
  auto gradient = of_three_images();
  gradient.trouble = Trouble::kGradient;
  gradient.positions = {};
  EXPECT_EQ(passed_over_lines(gradient),
            "9,1,6,70,gradient\n9,1,7,71,gradient\n9,1,8,72,gradient\n");
}

TEST_F(PassedOver, the_file_names_its_columns_once) {
  const auto file = folder() / "passed_over.csv";
  append_passed_over(file, taken_back_lines(8, {.epoch = 1, .batch = 1}, {5, 6}));
  append_passed_over(file, passed_over_lines(of_three_images()));
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text,
            "step,epoch,position,image_id,reason\n8,1,2,5,rollback\n8,1,3,6,rollback\n"
            "9,1,6,70,batch\n9,1,7,71,loss\n9,1,8,72,batch\n");
}

TEST_F(PassedOver, a_run_that_goes_on_from_an_earlier_batch_lists_what_comes_after_anew) {
  const auto file = folder() / "passed_over.csv";
  keep_passed_over_before(file, {.epoch = 0, .batch = 0}, 3);
  EXPECT_FALSE(std::filesystem::exists(file));
  append_passed_over(file, taken_back_lines(3, {.epoch = 0, .batch = 9}, {1, 2, 3}));
  append_passed_over(file, passed_over_lines(of_three_images()));
  std::ofstream(file, std::ios::app) << "10,1,9";  // a kill in the middle of a line
  const auto text = [&] {
    std::ifstream in(file);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  const std::string first =
      "step,epoch,position,image_id,reason\n3,0,27,1,rollback\n"
      "3,0,28,2,rollback\n3,0,29,3,rollback\n";
  keep_passed_over_before(file, {.epoch = 1, .batch = 3}, 3);
  EXPECT_EQ(text(), first + passed_over_lines(of_three_images()));
  keep_passed_over_before(file, {.epoch = 1, .batch = 2}, 3);
  EXPECT_EQ(text(), first);
}

TEST_F(PassedOver, a_file_that_cannot_be_written_is_told) {
  EXPECT_THROW(append_passed_over(folder() / "missing" / "passed_over.csv", "x\n"), IoError);
}

}  // namespace
}  // namespace gondola
