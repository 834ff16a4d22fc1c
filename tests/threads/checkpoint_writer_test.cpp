#include "trainer/checkpoint/checkpoint_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

namespace gondola {
namespace {

TEST(CheckpointThread, the_snapshot_is_the_owners_again_once_the_outcome_is_there) {
  std::vector<double> snapshot(10000);
  double written = 0;
  CheckpointWriter writer;
  for (std::int64_t step = 1; step <= 200; ++step) {
    std::fill(snapshot.begin(), snapshot.end(), static_cast<double>(step));
    writer.begin([&] { written = std::accumulate(snapshot.begin(), snapshot.end(), 0.0); });
    std::optional<WriteOutcome> outcome;
    while (!outcome) outcome = step % 2 == 0 ? writer.poll() : writer.wait();
    EXPECT_EQ(written, 10000.0 * static_cast<double>(step));
  }
}

}  // namespace
}  // namespace gondola
