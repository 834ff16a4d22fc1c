#include "launch/core_share.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace gondola {
namespace {

cpu_set_t cores(std::initializer_list<int> list) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (const int core : list) CPU_SET(static_cast<std::size_t>(core), &mask);
  return mask;
}

TEST(CoreShareTest, ranks_that_may_run_anywhere_share_evenly_and_round_down) {
  const auto all = cores({0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(share_of_cores(std::vector{all}, 0), 8);
  EXPECT_EQ(share_of_cores(std::vector{all, all}, 1), 4);
  EXPECT_EQ(share_of_cores(std::vector{all, all, all}, 0), 2);
}

TEST(CoreShareTest, a_rank_bound_to_its_own_cores_has_all_of_them) {
  const std::vector bound{cores({0, 1}), cores({2, 3, 4})};
  EXPECT_EQ(share_of_cores(bound, 0), 2);
  EXPECT_EQ(share_of_cores(bound, 1), 3);
}

TEST(CoreShareTest, three_thirds_make_a_whole_core) {
  const auto three = cores({5, 6, 7});
  EXPECT_EQ(share_of_cores(std::vector{three, three, three}, 2), 1);
  const auto six = cores({0, 1, 2, 3, 4, 5});
  EXPECT_EQ(share_of_cores(std::vector{six, six, six}, 0), 2);
}

TEST(CoreShareTest, more_ranks_than_cores_leaves_one_thread_each) {
  const auto one = cores({0});
  EXPECT_EQ(share_of_cores(std::vector{one, one, one}, 0), 1);
}

TEST(CoreShareTest, this_process_may_run_somewhere) {
  const auto mask = allowed_cores();
  EXPECT_GE(CPU_COUNT(&mask), 1);
}

}  // namespace
}  // namespace gondola
