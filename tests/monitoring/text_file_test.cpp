#include "monitoring/text_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "configs/errors.hpp"
#include "tests/monitoring/file_size_limit.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

using TextFile = FolderTest;

TEST_F(TextFile, what_is_written_is_read_back) {
  const std::string text("one\ntwo\0three", 13);
  write_text_file(folder() / "a.txt", "before, and longer than what follows");
  write_text_file(folder() / "a.txt", text);
  EXPECT_EQ(read_text_file(folder() / "a.txt"), text);
}

TEST_F(TextFile, a_full_disk_leaves_the_old_file_and_nothing_else) {
  write_text_file(folder() / "a.txt", "old");
  {
    const FileSizeLimit limit(1000);
    EXPECT_THROW(write_text_file(folder() / "a.txt", std::string(4000, 'x')), IoError);
  }
  EXPECT_EQ(read_text_file(folder() / "a.txt"), "old");
  const auto files = std::distance(std::filesystem::directory_iterator(folder()), {});
  EXPECT_EQ(files, 1);
}

TEST_F(TextFile, errors_say_which_file) {
  EXPECT_THROW((void)read_text_file(folder() / "none.txt"), MissingInputError);
  EXPECT_THROW((void)read_text_file(folder()), IoError);
  try {
    write_text_file(folder() / "none" / "a.txt", "x");
    FAIL() << "wrote into a folder that is not there";
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("none/a.txt"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace gondola
