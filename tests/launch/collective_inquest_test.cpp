#include "launch/collective_inquest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>

#include "monitoring/metrics_endpoint.hpp"

namespace gondola {
namespace {

using testing::HasSubstr;
using testing::Not;

RankAnswer waiting(double seconds) {
  return {.asked = true, .health = RankHealth{17, 340, true, seconds}};
}
RankAnswer at(std::int64_t step, std::uint64_t sequence) {
  return {.asked = true, .health = RankHealth{step, sequence, false, 0.0}};
}
RankAnswer silent() { return {.asked = true, .health = std::nullopt}; }
RankAnswer unknown() { return {}; }

TEST(CollectiveInquestTest, a_silent_rank_is_named_with_the_collective_and_the_step) {
  const auto inquest = hold_inquest({waiting(32), waiting(32), silent(), waiting(32)}, 0, 31);
  EXPECT_EQ(inquest.speaker, 0);
  EXPECT_EQ(
      inquest.sentence,
      "rank 0: collective 340 at step 17 has waited for 32 seconds "
      "(--parallel.timeout_seconds): rank 2 does not answer; restart from the last checkpoint");
}

TEST(CollectiveInquestTest, a_rank_that_is_alive_but_elsewhere_is_told_apart) {
  const auto inquest = hold_inquest({waiting(32), at(16, 322), silent()}, 0, 31);
  EXPECT_THAT(inquest.sentence, HasSubstr("rank 2 does not answer, rank 1 is alive at step 16 but "
                                          "has come to collective 322 only"));
}

TEST(CollectiveInquestTest, a_rank_that_is_past_the_collective_is_not_missing) {
  const auto inquest = hold_inquest({waiting(32), at(17, 341), at(17, 340)}, 0, 31);
  EXPECT_THAT(inquest.sentence, HasSubstr("no rank is missing"));
  EXPECT_THAT(inquest.sentence, Not(HasSubstr("rank 1")));
}

TEST(CollectiveInquestTest, the_lowest_rank_that_has_waited_long_enough_speaks) {
  EXPECT_EQ(hold_inquest({silent(), waiting(32), waiting(32)}, 2, 31).speaker, 1);
  EXPECT_EQ(hold_inquest({waiting(30), waiting(32), waiting(32)}, 2, 31).speaker, 1);
  EXPECT_EQ(hold_inquest({at(16, 320), waiting(2), waiting(32)}, 2, 31).speaker, 2);
}

TEST(CollectiveInquestTest, ranks_that_wait_in_neighbouring_collectives_have_one_speaker) {
  const RankAnswer ahead = {.asked = true, .health = RankHealth{18, 341, true, 32}};
  for (const int own : {0, 1, 2}) {
    EXPECT_EQ(hold_inquest({ahead, waiting(32), ahead, silent()}, own, 31).speaker, 0) << own;
  }
  const auto inquest = hold_inquest({ahead, waiting(32), ahead, silent()}, 0, 31);
  EXPECT_THAT(inquest.sentence, HasSubstr(": rank 3 does not answer; restart"));
}

TEST(CollectiveInquestTest,
     ranks_that_cannot_be_asked_are_named_only_where_nobody_else_is_missing) {
  EXPECT_THAT(hold_inquest({waiting(32), unknown(), unknown()}, 0, 31).sentence,
              HasSubstr("ranks 1, 2 could not be asked (--monitoring.bind)"));
  EXPECT_THAT(hold_inquest({waiting(32), unknown(), silent()}, 0, 31).sentence,
              Not(HasSubstr("could not be asked")));
}

TEST(CollectiveInquestTest, ranks_that_cannot_be_asked_get_their_turn_by_number) {
  EXPECT_EQ(hold_inquest({unknown(), unknown(), waiting(32), unknown()}, 2, 31).lower_unknown, 2);
  EXPECT_EQ(hold_inquest({unknown(), waiting(32), waiting(32)}, 2, 31).lower_unknown, 1);
}

/// A socket whose process takes connections and never answers, like one that was stopped.
class MuteSocket {
 public:
  MuteSocket() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    auto* const address = reinterpret_cast<sockaddr*>(&address_);
    EXPECT_EQ(::bind(socket_, address, length), 0);
    EXPECT_EQ(::listen(socket_, 4), 0);
    EXPECT_EQ(::getsockname(socket_, address, &length), 0);
  }
  ~MuteSocket() { ::close(socket_); }
  MuteSocket(const MuteSocket&) = delete;
  MuteSocket& operator=(const MuteSocket&) = delete;
  [[nodiscard]] int port() const { return ntohs(address_.sin_port); }

 private:
  int socket_;
  sockaddr_in address_{};
};

TEST(CollectiveInquestTest, ranks_are_asked_at_once_and_only_the_living_answer) {
  const auto registry = std::make_shared<prometheus::Registry>();
  const MetricsEndpoint alive({.token = "secret"}, registry,
                              [] { return HealthStatus{1, 17, 340, true, 3.5, "training"}; });
  constexpr std::size_t kStopped = 12;
  const std::vector<MuteSocket> stopped(kStopped);
  std::vector<RankEndpoint> endpoints{{"127.0.0.1", 1, true},  // nobody listens there
                                      {"127.0.0.1", alive.port(), true},
                                      {"127.0.0.1", alive.port(), false},
                                      {"127.0.0.1", alive.port(), true}};
  for (const auto& socket : stopped) endpoints.push_back({"127.0.0.1", socket.port(), true});
  constexpr int kOwn = 3;
  const auto start = std::chrono::steady_clock::now();
  const auto answers = ask_all_ranks(endpoints, kOwn, "secret");
  // One after the other they would take two seconds each.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2 * kStopped));

  ASSERT_EQ(answers.size(), endpoints.size());
  EXPECT_TRUE(answers[0].asked);
  EXPECT_FALSE(answers[0].health.has_value());
  ASSERT_TRUE(answers[1].health.has_value());
  EXPECT_EQ(answers[1].health->step, 17);
  EXPECT_EQ(answers[1].health->sequence, 340U);
  EXPECT_TRUE(answers[1].health->inside);
  EXPECT_EQ(answers[1].health->seconds_inside, 3.5);
  EXPECT_FALSE(answers[2].asked);
  EXPECT_FALSE(answers[kOwn].asked);
  for (std::size_t rank = 4; rank < answers.size(); ++rank) {
    EXPECT_TRUE(answers[rank].asked);
    EXPECT_FALSE(answers[rank].health.has_value());
  }
  EXPECT_FALSE(ask_all_ranks({endpoints[1], {}}, 1, "wrong")[0].health.has_value());
}

}  // namespace
}  // namespace gondola
