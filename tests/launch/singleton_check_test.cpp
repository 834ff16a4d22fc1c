#include "launch/singleton_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "configs/errors.hpp"

namespace gondola {
namespace {

class SingletonCheckTest : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }

  static void clear() {
    ::unsetenv("SLURM_STEP_NUM_TASKS");
    ::unsetenv("OMPI_COMM_WORLD_SIZE");
    ::unsetenv("PMIX_RANK");
  }
  static void set(const char* name, const char* value) { ::setenv(name, value, 1); }
};

TEST_F(SingletonCheckTest, several_tasks_in_worlds_of_one_are_refused_with_the_cure) {
  set("SLURM_STEP_NUM_TASKS", "4");
  try {
    refuse_singletons(1);
    FAIL() << "nothing was thrown";
  } catch (const WorldError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("Slurm started 4 tasks"));
    EXPECT_THAT(error.what(), testing::HasSubstr("srun --mpi=pmix"));
    EXPECT_EQ(error.code(), ExitCode::kWrongWorld);
  }
}

TEST_F(SingletonCheckTest, several_tasks_without_pmix_are_explained_with_the_cure) {
  EXPECT_EQ(explain_missing_pmix(), "");
  set("SLURM_STEP_NUM_TASKS", "1");
  EXPECT_EQ(explain_missing_pmix(), "");
  set("SLURM_STEP_NUM_TASKS", "4");
  EXPECT_THAT(explain_missing_pmix(), testing::HasSubstr("Slurm started 4 tasks without PMIx"));
  EXPECT_THAT(explain_missing_pmix(), testing::HasSubstr("srun --mpi=pmix"));
  set("PMIX_RANK", "2");
  EXPECT_EQ(explain_missing_pmix(), "");
  ::unsetenv("PMIX_RANK");
  set("OMPI_COMM_WORLD_SIZE", "4");  // mpirun inside a step
  EXPECT_EQ(explain_missing_pmix(), "");
}

TEST_F(SingletonCheckTest, one_task_may_be_a_world_of_one) {
  EXPECT_NO_THROW(refuse_singletons(1));
  set("SLURM_STEP_NUM_TASKS", "1");
  EXPECT_NO_THROW(refuse_singletons(1));
}

TEST_F(SingletonCheckTest, a_world_of_all_tasks_is_right) {
  set("SLURM_STEP_NUM_TASKS", "4");
  EXPECT_NO_THROW(refuse_singletons(4));
}

TEST_F(SingletonCheckTest, mpirun_with_one_rank_inside_a_larger_step_is_right) {
  set("SLURM_STEP_NUM_TASKS", "4");
  set("OMPI_COMM_WORLD_SIZE", "1");
  EXPECT_NO_THROW(refuse_singletons(1));
}

}  // namespace
}  // namespace gondola
