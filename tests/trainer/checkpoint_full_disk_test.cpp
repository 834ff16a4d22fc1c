#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>

#include "tests/monitoring/file_size_limit.hpp"
#include "tests/trainer/checkpoint_fixture.hpp"

namespace gondola {
namespace {

/// Writing step 2 beside a good step 1 where the disk may fill up.
class FullDiskTest : public CheckpointTest {
 protected:
  ~FullDiskTest() override {
    ::umount2((root / "disk").c_str(), MNT_DETACH);  // where a test failed on its small disk
  }

  /// Writes step 2; whichever way that ends, nothing may be half done. @return whether it was
  /// written.
  bool write_second(const fs::path& into) {
    bool written = true;
    try {
      write(2, into);
    } catch (const IoError&) {
      written = false;
    }
    return written;
  }

  void expect_whole_or_absent(const fs::path& into, bool written) {
    std::vector<std::string> present;
    for (const auto& entry : fs::directory_iterator(into)) {
      const auto name = entry.path().filename().string();
      if (name != "filler") present.push_back(name);
    }
    const std::vector<std::string> expected =
        written ? std::vector<std::string>{"step-00000001", "step-00000002"}
                : std::vector<std::string>{"step-00000001"};
    EXPECT_THAT(present, testing::UnorderedElementsAreArray(expected));
    for (const auto& path : list_checkpoints(into)) {
      ASSERT_EQ(refusal(path), "accepted");
      Trained loaded(config, 99);
      auto state = loaded.state();
      read_checkpoint(path, state);
      Trained saved(config, path.filename() == "step-00000001" ? 1 : 2);
      expect_same_bits(loaded, saved);
    }
  }
};

TEST_F(FullDiskTest, a_write_that_fails_after_any_number_of_bytes_leaves_the_older_one_alone) {
  const auto size = static_cast<std::int64_t>(fs::file_size(write(1) / "state.h5"));
  int failed = 0;
  for (std::int64_t limit = 0; limit <= size + 512; limit += 509) {
    bool written = false;
    {
      const FileSizeLimit full(static_cast<rlim_t>(limit));
      written = write_second(folder);
    }
    EXPECT_EQ(written, limit >= size) << limit << " of " << size << " bytes";
    expect_whole_or_absent(folder, written);
    failed += written ? 0 : 1;
    fs::remove_all(folder / "step-00000002");
  }
  EXPECT_GT(failed, 20);
}

TEST_F(FullDiskTest, a_disk_that_fills_up_at_any_page_leaves_the_older_one_alone) {
  // A file system of a few pages, seen by this process only.
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    GTEST_SKIP() << "mounting a small disk needs root";
  }
  config = config_of(DecoderKind::kSiren);
  config.model.layers = 40;  // many names: what HDF5 keeps to the end takes many pages
  const auto disk = root / "disk";
  fs::create_directories(disk);
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m"), 0) << std::strerror(errno);
  const auto into = disk / "checkpoints";
  write(1, into);
  int failed = 0;
  bool written = false;
  for (std::int64_t pages = 0; !written; ++pages) {
    ASSERT_LT(pages, 400);
    fs::remove(into / "filler");
    const auto free = static_cast<std::int64_t>(fs::space(disk).available);
    write_file(into / "filler", std::string(static_cast<std::size_t>(free - pages * 4096), 'x'));
    written = write_second(into);
    expect_whole_or_absent(into, written);
    failed += written ? 0 : 1;
  }
  EXPECT_GT(failed, 20);
  EXPECT_EQ(::umount(disk.c_str()), 0) << "a file is still open";
}

}  // namespace
}  // namespace gondola
