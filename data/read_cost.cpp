#include "data/read_cost.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/file_descriptor.hpp"
#include "data/sample_order.hpp"

namespace gondola {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::max(1e-9, std::chrono::duration<double>(Clock::now() - start).count());
}

}  // namespace

ReadCost measure_read_cost(const DatasetFile& file, Split split) {
  constexpr std::int64_t kMostTrials = 128, kMostBytes = std::int64_t{1} << 24;
  constexpr double kMostSeconds = 0.4;
  constexpr int kPlainRounds = 3;
  const SplitInfo& info = *file.split(split);
  const std::int64_t bytes = info.image_bytes();
  const std::int64_t most =
      std::min({kMostTrials, info.images, std::max<std::int64_t>(1, kMostBytes / bytes)});

  const KeyedPermutation somewhere(0, info.images);
  std::vector<std::uint8_t> image(static_cast<std::size_t>(bytes));
  file.read_images(split, somewhere(0), 1, image);  // what only the first reading costs
  const FileDescriptor plain(::memfd_create("gondola-trial", MFD_CLOEXEC));
  if (!plain) {
    throw IoError(std::string("cannot make a trial file in memory: ") + std::strerror(errno));
  }
  std::int64_t images = 0;
  double slow = 0;
  for (; images < most && slow < kMostSeconds; ++images) {
    const auto start = Clock::now();
    file.read_images(split, somewhere(images), 1, image);
    slow += seconds_since(start);
    write_fully(plain.get(), "the trial file in memory", images * bytes, image);
  }
  double fast = kMostSeconds;
  const KeyedPermutation again(1, images);
  for (int round = 0; round < kPlainRounds; ++round) {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < images; ++i) {
      read_fully(plain.get(), "the trial file in memory", again(i) * bytes, image);
    }
    fast = std::min(fast, seconds_since(start));
  }
  return {.images_per_second = static_cast<double>(images) / slow,
          .plain_images_per_second = static_cast<double>(images) / fast};
}

}  // namespace gondola
