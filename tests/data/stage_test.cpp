#include "data/stage.hpp"

#include <thread>

#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Staging : public DataTest {
 protected:
  StageReport stage(const std::string& list) const {
    return stage_files(list, local(), [](std::int64_t, std::int64_t) {});
  }
  [[nodiscard]] std::string local() const { return in_folder("local/disk"); }
  [[nodiscard]] std::string copy_of(const std::string& path) const {
    return staged_paths(path, local());
  }
};

TEST_F(Staging, copies_read_as_the_originals_and_are_used_again) {
  const std::string list = make_dataset("s1.h5", 900, 4) + "," + make_dataset("s2.h5", 700, 0, 900);
  std::int64_t last = 0, all = 0;
  const auto first = stage_files(list, local(), [&](std::int64_t done, std::int64_t of) {
    EXPECT_GE(done, last);
    last = done;
    all = of;
  });
  EXPECT_EQ(first.files, 2);
  EXPECT_EQ(first.copied_files, 2);
  EXPECT_EQ(first.copied_bytes, bytes_to_stage(list));
  EXPECT_EQ(last, all);
  const std::string copies = staged_paths(list, local());
  const auto ours = open_source(copies, Split::kTrain, CacheKind::kNone);
  const auto theirs = open_source(list, Split::kTrain, CacheKind::kNone);
  EXPECT_EQ(ours->fingerprint(), theirs->fingerprint());
  EXPECT_EQ(read_ids(*ours, {0, 1599}), read_ids(*theirs, {0, 1599}));

  EXPECT_EQ(stage(list).copied_files, 0);
  EXPECT_EQ(staged_paths(list, local()), copies);
  EXPECT_EQ(staged_paths(in_folder("s*.h5"), local()), copies);
  std::filesystem::remove(in_folder("s1.h5"));  // copies alone do not do: which would they be?
  EXPECT_THAT(complaint<MissingInputError>([&] { (void)stage(list); }), HasSubstr("s1.h5"));
}

TEST_F(Staging, a_damaged_or_cut_copy_is_made_again) {
  const std::string path = make_dataset("a.h5", 5000);
  (void)stage(path);
  const std::string whole = read_bytes(path), copy = copy_of(path);
  for (const std::size_t place : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[place] = static_cast<char>(damaged[place] ^ 1);
    std::ofstream(copy, std::ios::binary) << damaged;
    EXPECT_EQ(stage(path).copied_files, 1) << place;
    EXPECT_EQ(read_bytes(copy), whole);
  }
  std::filesystem::resize_file(copy, whole.size() - 1);
  EXPECT_EQ(stage(path).copied_files, 1);
  std::filesystem::remove(copy + ".xxh3");
  EXPECT_EQ(stage(path).copied_files, 1);
  EXPECT_EQ(stage(path).copied_files, 0);
}

TEST_F(Staging, another_original_is_copied_again) {
  const std::string path = make_dataset("a.h5", 50);
  (void)stage(path);
  std::filesystem::remove(path);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  make_dataset("a.h5", 50, 0, /*first=*/7);  // of the same length
  EXPECT_EQ(stage(path).copied_files, 1);
  EXPECT_EQ(read_bytes(copy_of(path)), read_bytes(path));
  std::filesystem::create_directories(in_folder("other"));
  std::filesystem::copy(path, in_folder("other/a.h5"));
  EXPECT_NE(copy_of(path), copy_of(in_folder("other/a.h5")));  // equal names keep apart
}

TEST_F(Staging, what_a_killed_copy_left_is_removed) {
  const std::string path = make_dataset("a.h5", 50);
  std::filesystem::create_directories(local());
  std::ofstream(copy_of(path) + ".partial-1") << "half";
  (void)stage(path);
  const auto begin = std::filesystem::directory_iterator(local());
  EXPECT_THAT((std::vector<std::filesystem::directory_entry>(begin, {})), SizeIs(2));
}

TEST_F(Staging, a_folder_that_cannot_be_is_an_io_error) {
  const std::string path = make_dataset("a.h5", 5);
  write_bytes("local", "a file");
  EXPECT_THAT(complaint<IoError>([&] { (void)stage(path); }),
              AllOf(HasSubstr("data.stage"), HasSubstr("local/disk")));
  EXPECT_THAT(complaint<ConfigError>([&] {
                (void)stage_files(path, in_folder("a,b"), [](std::int64_t, std::int64_t) {});
              }),
              HasSubstr("comma"));
}

}  // namespace
}  // namespace gondola
