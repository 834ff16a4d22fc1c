#include "data/helper_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <new>

#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// Answers each number with as many bytes; on 0 it dies, on -1 and -2 it throws, on -3 it says
/// nothing, on -4 it talks nonsense, on -5 it has no memory, on -6 it crashes.
void work(ProcessLink& link) {
  while (true) {
    const auto number = link.get<std::int64_t>();
    if (number == 0) ::raise(SIGKILL);
    if (number == -1) throw IoError("the disk is gone");
    if (number == -2) throw MissingInputError("there is no file");
    if (number == -3) ::pause();
    if (number == -5) throw std::bad_alloc();
    if (number == -6) {
      ::signal(SIGSEGV, SIG_DFL);  // or a sanitizer reports it
      ::raise(SIGSEGV);
    }
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
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(helper, -6); }),
              AllOf(HasSubstr("a.h5 cannot be read"), HasSubstr("crashed"), HasSubstr("signal 11"),
                    HasSubstr("damaged")));
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(helper, 1); }), HasSubstr("crashed"));
}

TEST(HelperProcess, want_of_memory_is_no_damage) {
  HelperProcess without(work), killed(work);
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(without, -5); }),
              AllOf(HasSubstr("a.h5 cannot be read"), HasSubstr("not enough memory"),
                    Not(HasSubstr("crashed")), Not(HasSubstr("damaged"))));
  EXPECT_THAT(complaint<DataError>([&] { (void)ask(killed, 0); }),
              AllOf(HasSubstr("a.h5 cannot be read"), HasSubstr("killed (signal 9)"),
                    HasSubstr("memory"), Not(HasSubstr("damaged"))));
}

TEST(HelperProcess, silence_beyond_the_limit_is_an_error_of_the_file) {
  HelperProcess helper(work, /*limit_seconds=*/0.2);
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

TEST(HelperProcess, it_ends_when_its_owner_is_killed) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);  // whoever lives has it open
  pid_t inner = 0;
  {
    HelperProcess owner([](ProcessLink& link) {
      HelperProcess helper([](ProcessLink& inner_link) {
        HelperProcess::begin_answer(inner_link);
        inner_link.put(::getpid());
        while (true) ::pause();
      });
      pid_t process = 0;
      helper.answer(
          "x", [](ProcessLink&) {}, [&](ProcessLink& its) { process = its.get<pid_t>(); });
      HelperProcess::begin_answer(link);
      link.put(process);
      while (true) ::pause();
    });
    owner.answer(
        "x", [](ProcessLink&) {}, [&](ProcessLink& link) { inner = link.get<pid_t>(); });
  }
  write_end.close();
  ::pollfd end{.fd = read_end.get(), .events = POLLIN, .revents = 0};
  constexpr int kHangsMilliseconds = 20000;
  EXPECT_EQ(::poll(&end, 1, kHangsMilliseconds), 1) << "the helper lives on";
  if (end.revents == 0) ::kill(inner, SIGKILL);
}

}  // namespace
}  // namespace gondola
