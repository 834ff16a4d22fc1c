#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "data/atomic_file.hpp"
#include "data/ledger.hpp"
#include "data/stage.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A test on a small disk: a tmpfs that only this process sees.
class DiskFull : public DataTest {
 protected:
  /// Mounts a disk of this size at folder(). False where only root may.
  bool mount_disk(std::int64_t bytes) const {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return false;
    }
    std::filesystem::create_directories(disk());
    return ::mount("tmpfs", disk().c_str(), "tmpfs", 0,
                   ("size=" + std::to_string(bytes)).c_str()) == 0;
  }
  ~DiskFull() override { ::umount2(disk().c_str(), MNT_DETACH); }

  [[nodiscard]] std::string disk() const { return in_folder("disk"); }
  [[nodiscard]] std::vector<std::string> on_disk() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(disk()))
      names.push_back(entry.path());
    return names;
  }
};

TEST_F(DiskFull, a_dataset_that_does_not_fit_is_an_io_error_and_leaves_nothing) {
  for (const std::int64_t disk_bytes : {4096, 8192, 16384, 65536, 1 << 20}) {
    if (!mount_disk(disk_bytes)) GTEST_SKIP() << "mounting a small disk needs root";
    EXPECT_THAT(complaint<IoError>([&] { make_dataset("disk/a.h5", 200000); }), HasSubstr("a.h5"))
        << disk_bytes;
    EXPECT_THAT(on_disk(), IsEmpty()) << disk_bytes;
    ::umount2(disk().c_str(), MNT_DETACH);
  }
}

TEST_F(DiskFull, a_dataset_that_will_not_fit_is_refused_before_the_first_image) {
  if (!mount_disk(1 << 20)) GTEST_SKIP() << "mounting a small disk needs root";
  const DatasetPlan plan{.channels = 1, .height = 8, .width = 8, .train_images = 20000};
  EXPECT_THAT(complaint<IoError>([&] { DatasetWriter writer(in_folder("disk/a.h5"), plan); }),
              HasSubstr("not as many left"));
  EXPECT_THAT(on_disk(), IsEmpty());
}

TEST_F(DiskFull, a_dataset_that_fits_is_whole) {
  if (!mount_disk(1 << 20)) GTEST_SKIP() << "mounting a small disk needs root";
  const auto source =
      open_source(make_dataset("disk/a.h5", 20000), Split::kTrain, CacheKind::kNone);
  EXPECT_EQ(read_ids(*source, {19999}), test_images(19999, 1, 24));
}

TEST_F(DiskFull, a_replaced_file_keeps_its_old_bytes) {
  if (!mount_disk(64 << 10)) GTEST_SKIP() << "mounting a small disk needs root";
  const auto path = in_folder("disk/a");
  write_file_atomically(path, std::vector<std::uint8_t>(1000, 'a'));
  EXPECT_THAT(complaint<IoError>(
                  [&] { write_file_atomically(path, std::vector<std::uint8_t>(100 << 10)); }),
              AllOf(HasSubstr(path), HasSubstr("No space left")));
  EXPECT_EQ(read_bytes(path), std::string(1000, 'a'));
  EXPECT_EQ(on_disk().size(), 1U);
}

TEST_F(DiskFull, a_dataset_that_cannot_be_staged_is_an_io_error_with_a_cure) {
  if (!mount_disk(64 << 10)) GTEST_SKIP() << "mounting a small disk needs root";
  const auto path = make_dataset("a.h5", 20000);
  EXPECT_THAT(complaint<IoError>(
                  [&] { (void)stage_files(path, disk(), [](std::int64_t, std::int64_t) {}); }),
              AllOf(HasSubstr("cannot copy " + path), HasSubstr(" bytes and the disk only "),
                    HasSubstr("data.stage")));
  EXPECT_THAT(on_disk(), IsEmpty());
}

TEST_F(DiskFull, a_ledger_says_so) {
  if (!mount_disk(8 << 10)) GTEST_SKIP() << "mounting a small disk needs root";
  LedgerWriter ledger(in_folder("disk/l.csv"), std::nullopt);
  EXPECT_THAT(complaint<IoError>([&] { ledger.append(1, {}, first_ids(5000)); }),
              HasSubstr("l.csv"));
}

}  // namespace
}  // namespace gondola
