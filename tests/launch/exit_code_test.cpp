#include "launch/exit_code.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <new>
#include <stdexcept>
#include <system_error>

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

TEST(ExitCodeTest, memory_that_is_out_is_said_with_its_cure) {
  using testing::StartsWith;
  EXPECT_THAT(sentence_of(std::bad_alloc()),
              StartsWith("out of memory or threads (std::bad_alloc): lower trainer.batch_size"));
  EXPECT_THAT(sentence_of(std::bad_alloc()), testing::HasSubstr("trainer.tile_bytes"));
  const c10::OutOfMemoryError of_gpu({__func__, __FILE__, __LINE__}, "CUDA out of memory.");
  EXPECT_THAT(sentence_of(of_gpu), StartsWith("out of memory or threads (CUDA out of memory.): "));
  const std::system_error no_thread(
      std::make_error_code(std::errc::resource_unavailable_try_again));
  EXPECT_THAT(sentence_of(no_thread), StartsWith("out of memory or threads ("));
  const std::system_error other(std::make_error_code(std::errc::permission_denied));
  EXPECT_EQ(sentence_of(other), other.what());
}

TEST(ExitCodeTest, memory_that_a_tensor_does_not_get_is_said_in_one_line) {
  try {
    [[maybe_unused]] const auto tensor = torch::empty({std::int64_t{1} << 55});
    FAIL() << "memory for 2^57 bytes was given";
  } catch (const std::exception& error) {
    EXPECT_THAT(sentence_of(error), testing::StartsWith("out of memory or threads ("));
    EXPECT_EQ(sentence_of(error).find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace gondola
