#include "data/helper_process.hpp"

#include <signal.h>
#include <unistd.h>

#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Answers each number with as many bytes; on 0 it dies, on -1 and -2 it throws, on -3 it says
/// nothing, on -4 it talks nonsense.
void work(ProcessLink& link) {
  while (true) {
    const auto number = link.get<std::int64_t>();
    if (number == 0) ::raise(SIGKILL);
    if (number == -1) throw IoError("the disk is gone");
    if (number == -2) throw MissingInputError("there is no file");
    if (number == -3) ::pause();
    HelperProcess::begin_answer(link);
    if (number == -4) link.put(~std::size_t{0});
    link.put_list(std::vector<std::uint8_t>(static_cast<std::size_t>(number), 7));
  }
}

std::vector<std::uint8_t> ask(HelperProcess& helper, std::int64_t number) {
  std::vector<std::uint8_t> bytes;
  helper.answer(
      "a.h5", [&](ProcessLink& link) { link.put(number); },
      [&](ProcessLink& link) { bytes = link.get_list<std::vector<std::uint8_t>>(); });
  return bytes;
}

TEST(HelperProcess, answers_come_whole) {
  HelperProcess helper(work);
  for (const std::int64_t count : {1, 10000000, 2}) {
    EXPECT_EQ(ask(helper, count), std::vector<std::uint8_t>(static_cast<std::size_t>(count), 7));
  }
}

TEST(HelperProcess, its_errors_keep_their_class_and_words) {
  HelperProcess one(work), other(work);
  EXPECT_EQ(complaint<IoError>([&] { (void)ask(one, -1); }), "the disk is gone");
  EXPECT_EQ(complaint<MissingInputError>([&] { (void)ask(other, -2); }), "there is no file");
}

TEST(HelperProcess, its_death_is_an_error_now_and_later) {
  HelperProcess helper(work);
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(helper, 0); }),
              AllOf(HasSubstr("a.h5 cannot be read"), HasSubstr("signal 9")));
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(helper, 1); }), HasSubstr("crashed"));
}

TEST(HelperProcess, silence_beyond_the_limit_is_an_error_of_the_file) {
  HelperProcess helper(work, /*limit_seconds=*/0.2);
  EXPECT_EQ(ask(helper, 3).size(), 3U);
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(helper, -3); }),
              AllOf(HasSubstr("a.h5 cannot be read"), HasSubstr("silent for 1 s")));
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(helper, 1); }), HasSubstr("crashed"));
}

TEST(HelperProcess, an_impossible_length_is_an_error_of_the_file) {
  HelperProcess helper(work);
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(helper, -4); }),
              AllOf(HasSubstr("a.h5 cannot be read"), HasSubstr("damaged")));
}

TEST(HelperProcess, it_ends_with_its_owner) {
  pid_t process = 0;
  {
    HelperProcess helper([](ProcessLink& link) {
      HelperProcess::begin_answer(link);
      link.put(::getpid());
      ::pause();
    });
    helper.answer(
        "x", [](ProcessLink&) {}, [&](ProcessLink& link) { process = link.get<pid_t>(); });
    EXPECT_EQ(::kill(process, 0), 0);
  }
  EXPECT_NE(::kill(process, 0), 0);
}

}  // namespace
}  // namespace gondola
