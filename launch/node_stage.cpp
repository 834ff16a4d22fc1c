#include "launch/node_stage.hpp"

#include <chrono>
#include <cstdio>

#include "data/stage.hpp"
#include "data/synthetic_source.hpp"
#include "launch/together.hpp"

namespace gondola {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Prints how much of the copying is done, once every few seconds.
class ProgressLine {
 public:
  void operator()(std::int64_t done, std::int64_t of) {
    constexpr double kEverySeconds = 5;
    if (seconds_since(last_) < kEverySeconds) return;
    last_ = Clock::now();
    std::printf("stage        %.3g GB of %.3g GB\n", static_cast<double>(done) / 1e9,
                static_cast<double>(of) / 1e9);
    std::fflush(stdout);
  }

 private:
  Clock::time_point last_ = Clock::now();
};

}  // namespace

std::string stage_on_node(const std::string& list, const std::string& folder, const MpiSession& mpi,
                          Communicator& control, CollectiveProgress& progress) {
  if (folder.empty() || list.empty() || is_synthetic(list)) return list;
  std::string copies;
  std::int64_t bytes = 0;
  run_together(control, [&] {
    copies = staged_paths(list, folder);
    bytes = bytes_to_stage(list);
  });
  StageReport report;
  const auto start = Clock::now();
  constexpr double kSlowestBytesPerSecond = 10e6;  // read, written and read again
  progress.allow_extra_seconds(60 + static_cast<double>(bytes) / kSlowestBytesPerSecond);
  run_together(control, [&] {
    if (mpi.local_rank() != 0) return;
    ProgressLine line;
    report = stage_files(list, folder, [&](std::int64_t done, std::int64_t of) {
      if (mpi.rank() == 0) line(done, of);
    });
  });
  progress.allow_extra_seconds(0);
  if (mpi.rank() == 0) {
    std::printf(
        "stage        %s: %lld of %lld files copied (%.3g GB in %.1f s), the others there\n",
        folder.c_str(), static_cast<long long>(report.copied_files),
        static_cast<long long>(report.files), static_cast<double>(report.copied_bytes) / 1e9,
        seconds_since(start));
  }
  return copies;
}

}  // namespace gondola
