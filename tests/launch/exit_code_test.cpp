#include "launch/exit_code.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace gondola {
namespace {

TEST(ExitCodeTest, an_error_of_ours_has_the_code_of_its_class) {
  EXPECT_EQ(exit_code_of(ConfigError("")), ExitCode::kBadConfig);
  EXPECT_EQ(exit_code_of(MissingInputError("")), ExitCode::kMissingInput);
  EXPECT_EQ(exit_code_of(WorldError("")), ExitCode::kWrongWorld);
  EXPECT_EQ(exit_code_of(CommError("")), ExitCode::kPeerLost);
}

TEST(ExitCodeTest, anything_else_is_an_internal_error) {
  EXPECT_EQ(exit_code_of(std::runtime_error("")), ExitCode::kInternal);
  EXPECT_EQ(exit_code_of(std::bad_alloc()), ExitCode::kInternal);
}

}  // namespace
}  // namespace gondola
