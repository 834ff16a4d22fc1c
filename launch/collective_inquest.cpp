#include "launch/collective_inquest.hpp"

#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "trainer/parallel/rank_names.hpp"

namespace gondola {
namespace {

constexpr std::chrono::seconds kPatience{2};
constexpr std::size_t kMostThreads = 64;

std::optional<RankHealth> ask(const RankEndpoint& endpoint, const std::string& token) {
  httplib::Client client(endpoint.host, endpoint.port);
  client.set_connection_timeout(kPatience);
  client.set_read_timeout(kPatience);
  client.set_write_timeout(kPatience);
  if (!token.empty()) client.set_bearer_token_auth(token.c_str());
  const auto answer = client.Get("/healthz");
  if (!answer || answer->status != 200) return std::nullopt;
  try {
    const auto json = nlohmann::json::parse(answer->body);
    return RankHealth{.step = json.at("step"),
                      .sequence = json.at("sequence"),
                      .inside = json.at("inside"),
                      .seconds_inside = json.at("seconds_inside")};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // another program has the rank's port by now
  }
}

}  // namespace

std::vector<RankAnswer> ask_all_ranks(const std::vector<RankEndpoint>& endpoints, int own,
                                      const std::string& token) {
  std::vector<RankAnswer> answers(endpoints.size());
  std::atomic<std::size_t> next{0};
  const auto ask_some = [&] {
    for (std::size_t r = next++; r < endpoints.size(); r = next++) {
      if (static_cast<int>(r) == own || !endpoints[r].reachable) continue;
      answers[r].asked = true;
      answers[r].health = ask(endpoints[r], token);
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min(endpoints.size(), kMostThreads); ++i) {
    threads.emplace_back(ask_some);
  }
  threads.clear();  // joins
  return answers;
}

Inquest hold_inquest(const std::vector<RankAnswer>& answers, int own, double patience_seconds) {
  const RankHealth mine = answers[static_cast<std::size_t>(own)].health.value_or(RankHealth{});
  Inquest inquest{.speaker = own, .lower_unknown = 0, .sentence = {}};
  std::vector<int> silent;
  std::vector<int> unknown;
  std::ostringstream absent;  // alive, but not in the collective
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const int rank = static_cast<int>(i);
    const auto& [asked, health] = answers[i];
    if (rank == own) continue;
    if (!asked) {
      unknown.push_back(rank);
    } else if (!health) {
      silent.push_back(rank);
    } else if (health->inside && health->seconds_inside >= patience_seconds) {
      // It waits as well. Where a collective does not hold every rank until the last has come, that
      // may be in the one before or after.
      inquest.speaker = std::min(inquest.speaker, rank);
    } else if (health->sequence < mine.sequence) {
      absent << (absent.tellp() > 0 ? ", " : "") << "rank " << rank << " is alive at step "
             << health->step << " but has come to collective " << health->sequence << " only";
    }
  }

  inquest.lower_unknown = static_cast<int>(
      std::lower_bound(unknown.begin(), unknown.end(), inquest.speaker) - unknown.begin());

  std::ostringstream text;
  text << "rank " << own << ": collective " << mine.sequence << " at step " << mine.step
       << " has waited for " << std::lround(mine.seconds_inside)
       << " seconds (--parallel.timeout_seconds): ";
  if (!silent.empty()) {
    text << name_ranks(silent) << (silent.size() == 1 ? " does" : " do") << " not answer";
  }
  text << (!silent.empty() && absent.tellp() > 0 ? ", " : "") << absent.str();
  if (silent.empty() && absent.tellp() == 0) {
    if (unknown.empty()) {
      text << "no rank is missing from it, so the network between them has stopped";
    } else {
      text << name_ranks(unknown) << " could not be asked (--monitoring.bind)";
    }
  }
  text << "; restart from the last checkpoint";
  inquest.sentence = text.str();
  return inquest;
}

}  // namespace gondola
