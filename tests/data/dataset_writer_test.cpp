#include "data/dataset_writer.hpp"

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "data/atomic_file.hpp"
#include "data/dataset_file.hpp"
#include "tests/data/data_test.hpp"

namespace {

/// The errors of a file system that lacks these; 0: they work.
int failing_flock = 0, failing_renameat2 = 0;

}  // namespace

/// Stand before flock and renameat2 (the linker's --wrap).
/// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming)
extern "C" int __real_flock(int file, int operation);
extern "C" int __wrap_flock(int file, int operation) {
  errno = failing_flock;
  return failing_flock != 0 ? -1 : __real_flock(file, operation);
}
extern "C" int __real_renameat2(int from_folder, const char* from, int to_folder, const char* to,
                                unsigned flags);
extern "C" int __wrap_renameat2(int from_folder, const char* from, int to_folder, const char* to,
                                unsigned flags) {
  errno = failing_renameat2;
  return failing_renameat2 != 0 ? -1 : __real_renameat2(from_folder, from, to_folder, to, flags);
}
/// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming)

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using DatasetWriting = DataTest;

TEST_F(DatasetWriting, no_file_is_overwritten_and_none_appears_before_it_is_complete) {
  const std::string path = make_dataset("a.h5", 2);
  EXPECT_THAT(complaint<ConfigError>([&] { make_dataset("a.h5", 3); }),
              AllOf(HasSubstr(path), HasSubstr("not overwritten")));
  EXPECT_EQ(DatasetFile(path).split(Split::kTrain)->images, 2);
  {
    DatasetWriter writer(in_folder("b.h5"),
                         {.channels = 1, .height = 2, .width = 2, .train_images = 2});
    writer.write(Split::kTrain, 1, test_images(0, 1, 4));
    EXPECT_FALSE(std::filesystem::exists(in_folder("b.h5")));
    EXPECT_THAT(complaint<DataError>([&] { writer.commit({}, {}, {}); }),
                HasSubstr("only 1 of 2 images"));
    EXPECT_THAT(complaint<DataError>([&] { writer.write(Split::kTrain, 1, test_images(0, 2, 4)); }),
                HasSubstr("do not fit"));
    EXPECT_THAT(complaint<DataError>([&] {
                  writer.commit({}, {1, 2}, {});
                }),
                HasSubstr("2 labels do not fit the 0 planned"));
  }
  EXPECT_THAT(listing(), ElementsAre("a.h5"));
}

TEST_F(DatasetWriting, the_order_and_the_time_of_writing_leave_no_trace) {
  const DatasetPlan plan{.channels = 1, .height = 2, .width = 2, .train_images = 50};
  for (const bool forwards : {true, false}) {
    DatasetWriter writer(in_folder(forwards ? "forwards.h5" : "backwards.h5"), plan);
    for (std::int64_t i = 0; i < 50; ++i) {
      const std::int64_t image = forwards ? i : 49 - i;
      writer.write(Split::kTrain, image, test_images(image, 1, 4));
    }
    writer.commit({}, {}, {});
    if (forwards)
      std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5 counts seconds
  }
  EXPECT_EQ(read_bytes(in_folder("forwards.h5")), read_bytes(in_folder("backwards.h5")));
}

TEST_F(DatasetWriting, what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not) {
  write_bytes("a.h5.partial-1", "left over");
  const DatasetWriter writer(in_folder("a.h5"),
                             {.channels = 1, .height = 2, .width = 2, .train_images = 2});
  remove_abandoned(in_folder("a.h5"));
  EXPECT_THAT(listing(), ElementsAre("a.h5.partial-" + std::to_string(::getpid())));
}

TEST_F(DatasetWriting, a_file_that_appears_meanwhile_is_not_replaced) {
  for (const int rename_error : {0, EINVAL, ENOSYS}) {
    failing_renameat2 = rename_error;
    {
      DatasetWriter writer(in_folder("a.h5"),
                           {.channels = 1, .height = 2, .width = 2, .train_images = 1});
      writer.write(Split::kTrain, 0, test_images(0, 1, 4));
      write_bytes("a.h5", "a letter");
      EXPECT_THAT(complaint<ConfigError>([&] { writer.commit({}, {}, {}); }),
                  AllOf(HasSubstr("a.h5"), HasSubstr("not overwritten")));
    }
    EXPECT_TRUE(read_bytes(in_folder("a.h5")) == "a letter");
    EXPECT_THAT(listing(), ElementsAre("a.h5"));
    write_file_atomically(in_folder("a.h5"), std::vector<std::uint8_t>{'b'});
    EXPECT_EQ(read_bytes(in_folder("a.h5")), "b") << "where replacing is meant";
    std::filesystem::remove(in_folder("a.h5"));
    EXPECT_EQ(DatasetFile(make_dataset("b.h5", 2)).split(Split::kTrain)->images, 2);
    std::filesystem::remove(in_folder("b.h5"));
  }
  failing_renameat2 = 0;
}

TEST_F(DatasetWriting, two_writers_of_one_file_do_not_disturb_each_other) {
  AtomicFile first(in_folder("a"));
  std::ofstream(first.temporary()) << "whole";
  EXPECT_THAT(complaint<IoError>([&] { const AtomicFile second(in_folder("a")); }),
              AllOf(HasSubstr("another process is writing"), HasSubstr(in_folder("a"))));
  first.commit();
  EXPECT_EQ(read_bytes(in_folder("a")), "whole");
}

TEST_F(DatasetWriting, file_systems_without_locks_are_written_to) {
  for (const int error : {ENOLCK, EOPNOTSUPP}) {
    failing_flock = error;
    write_bytes("a.partial-" + std::to_string(::getpid()), "left by a process of the same number");
    write_file_atomically(in_folder("a"), std::vector<std::uint8_t>{'a'});
    failing_flock = 0;
    EXPECT_EQ(read_bytes(in_folder("a")), "a");
    EXPECT_THAT(listing(), ElementsAre("a"));
  }
}

TEST_F(DatasetWriting, the_folder_of_a_new_file_is_made) {
  EXPECT_EQ(DatasetFile(make_dataset("new/folder/a.h5", 2)).split(Split::kTrain)->images, 2);
  write_bytes("file", "no folder");
  EXPECT_THAT(complaint<IoError>([&] { make_dataset("file/a.h5", 2); }),
              HasSubstr("cannot create the folder " + in_folder("file")));
}

TEST_F(DatasetWriting, a_plan_without_images_is_refused) {
  EXPECT_THAT(complaint<DataError>([&] {
                DatasetWriter writer(in_folder("a.h5"), {.channels = 1, .height = 2, .width = 2});
              }),
              HasSubstr("no image"));
}

TEST_F(DatasetWriting, a_plan_beyond_any_use_is_refused) {
  for (const DatasetPlan& plan :
       {DatasetPlan{.channels = 2, .height = 16384, .width = 16384, .train_images = 1},
        DatasetPlan{.channels = 1, .height = 1, .width = 1, .test_images = (1 << 28) + 1}}) {
    EXPECT_THAT(complaint<DataError>([&] { DatasetWriter writer(in_folder("a.h5"), plan); }),
                AllOf(HasSubstr("a.h5"), HasSubstr("at most 268435456")));
  }
  EXPECT_THAT(listing(), ElementsAre());
}

}  // namespace
}  // namespace gondola
