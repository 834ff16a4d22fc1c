#include "trainer/kernels/parallel_tasks.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/support/aten_threads.hpp"

namespace gondola {
namespace {

TEST(ParallelTasks, every_task_runs_once_with_as_many_threads_as_aten_has) {
  const AtenThreads threads(3);
  EXPECT_EQ(parallel_width(), 3);
  std::vector<std::atomic<int>> runs(7);
  parallel_tasks(7, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
  for (const auto& count : runs) EXPECT_EQ(count.load(), 1);
}

TEST(ParallelTasks, tasks_run_at_the_same_time) {
  const AtenThreads threads(2);
  std::atomic<int> arrived = 0;
  std::atomic<bool> met = true;
  parallel_tasks(2, [&](std::int64_t) {
    ++arrived;
    for (int i = 0; arrived < 2 && i < 10'000; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (arrived < 2) met = false;
  });
  EXPECT_TRUE(met) << "one task waited for the other to end";
}

TEST(ParallelTasks, operators_inside_use_one_thread_and_record_nothing) {
  const AtenThreads threads(2);
  const auto x = torch::ones({2}).requires_grad_(true);
  std::atomic<int> wide = 0;
  std::atomic<int> recorded = 0;
  parallel_tasks(2, [&](std::int64_t) {
    if (parallel_width() != 1) ++wide;
    if ((x * 2).requires_grad()) ++recorded;
  });
  EXPECT_EQ(wide, 0);
  EXPECT_EQ(recorded, 0);
  EXPECT_TRUE(at::GradMode::is_enabled());
}

TEST(ParallelTasks, what_a_task_throws_reaches_the_caller) {
  const AtenThreads threads(2);
  EXPECT_THROW(parallel_tasks(4,
                              [](std::int64_t i) {
                                if (i == 3) throw std::runtime_error("three");
                              }),
               std::runtime_error);
}

}  // namespace
}  // namespace gondola
