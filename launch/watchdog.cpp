#include "launch/watchdog.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "configs/errors.hpp"
#include "launch/collective_files.hpp"
#include "launch/collective_inquest.hpp"
#include "launch/stop_signal.hpp"

namespace gondola {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 100ms;
// After the timeout, in this order: the ranks that came to the collective at about the same time
// get theirs too, each asks all others (which takes up to two seconds), one speaks and leaves, the
// rest leave.
constexpr double kAskAfterSeconds = 2.0;
constexpr double kSpeakAfterSeconds = 4.0;
constexpr double kLeaveAfterSeconds = 8.0;
/// Given to each lower rank that could not be asked, to speak before this one.
constexpr double kTurnSeconds = 1.0;
constexpr double kLastTurnSeconds = 3.5;
/// A speaker has had its timeout for so long that it has one at every other rank's inquest as well.
constexpr double kSpeakerHasWaitedSeconds = 1.0;

[[noreturn]] void leave() { ::_exit(static_cast<int>(ExitCode::kPeerLost)); }

/// Those that were asked and did not answer.
std::vector<int> silent_ranks(const std::vector<RankAnswer>& answers) {
  std::vector<int> silent;
  for (std::size_t rank = 0; rank < answers.size(); ++rank) {
    if (answers[rank].asked && !answers[rank].health) silent.push_back(static_cast<int>(rank));
  }
  return silent;
}

void print_sentence(const std::string& sentence) {
  const auto line = "gondola: " + sentence + "\n";
  // Not stdio: the training thread could hold its lock.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

Watchdog::Watchdog(const CollectiveProgress& progress, WatchdogOptions options)
    : progress_(progress),
      options_(std::move(options)),
      endpoints_(static_cast<std::size_t>(options_.size)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

void Watchdog::may_ask(std::vector<RankEndpoint> endpoints, std::string token) {
  const std::lock_guard held(mutex_);
  endpoints_ = std::move(endpoints);
  token_ = std::move(token);
}

void Watchdog::log_to(std::filesystem::path run_folder) {
  const std::lock_guard held(mutex_);
  run_folder_ = std::move(run_folder);
}

void Watchdog::run(const std::stop_token& stop) {
  std::uint64_t asked_about = 0;  // the collective of the inquest below; 0: none
  Inquest inquest;
  double speak_after = 0.0;
  bool asked_to_stop_before = false;
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(kLookEvery);
    const RankHealth mine{.step = progress_.step.load(),
                          .sequence = progress_.sequence(),
                          .inside = progress_.inside(),
                          .seconds_inside = progress_.seconds_inside()};
    const double allowed = options_.timeout_seconds + progress_.extra_seconds();
    if (!mine.inside || mine.seconds_inside < allowed + kAskAfterSeconds) continue;
    if (asked_about != mine.sequence) {
      asked_about = mine.sequence;
      std::unique_lock held(mutex_);
      const auto endpoints = endpoints_;
      const auto token = token_;
      const auto run_folder = run_folder_;
      held.unlock();
      auto answers = ask_all_ranks(endpoints, options_.rank, token);
      answers[static_cast<std::size_t>(options_.rank)].health = mine;
      // Before anybody speaks and leaves: the launcher ends the rest then.
      if (!run_folder.empty()) {
        write_collectives(run_folder, options_.rank, options_.size, progress_.log(),
                          RankEnd::kTimeout, silent_ranks(answers));
      }
      inquest = hold_inquest(answers, options_.rank, allowed + kSpeakerHasWaitedSeconds);
      speak_after =
          kSpeakAfterSeconds + std::min(kTurnSeconds * inquest.lower_unknown, kLastTurnSeconds);
      asked_to_stop_before = stop_requested();
      continue;  // the collective may have ended meanwhile
    }
    // Somebody spoke and left, and the launcher now ends the rest with TERM.
    if (stop_requested() && !asked_to_stop_before) leave();
    if (inquest.speaker == options_.rank && mine.seconds_inside >= allowed + speak_after) {
      print_sentence(inquest.sentence);
      leave();
    }
    if (mine.seconds_inside >= allowed + kLeaveAfterSeconds) leave();
  }
}

}  // namespace gondola
