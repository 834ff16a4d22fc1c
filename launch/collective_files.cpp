#include "launch/collective_files.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <system_error>
#include <vector>

#include "configs/errors.hpp"
#include "trainer/parallel/rank_names.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kErrorWord = "error";

fs::path file_of(const fs::path& run_folder, int rank) {
  return run_folder / "logs" / ("collectives-rank-" + std::to_string(rank) + ".json");
}

/// What one rank's file says of its latest collective.
struct Latest {
  int rank = 0;
  int size = 0;
  std::uint64_t sequence = 0;
  bool left = true;
  RankEnd end = RankEnd::kTimeout;
  std::vector<int> silent;  ///< Ranks that did not answer this one.
  fs::file_time_type written;
  std::string words;  ///< "all_reduce_sum of 4096 bytes, step 7, phase inner"
};

std::string words_of(const Json& record) {
  std::string words = record.at("name").get<std::string>();
  const auto bytes = record.at("bytes").get<std::int64_t>();
  if (bytes > 0) words += " of " + std::to_string(bytes) + " bytes";
  words += ", step " + std::to_string(record.at("step").get<std::int64_t>());
  const auto phase = record.at("phase").get<std::string>();
  return phase.empty() ? words : words + ", phase " + phase;
}

Latest read_latest(const fs::path& path) {
  try {
    std::ifstream file(path);
    const auto document = Json::parse(file);
    Latest latest;
    latest.rank = document.at("rank").get<int>();
    latest.size = document.at("size").get<int>();
    latest.silent = document.at("silent").get<std::vector<int>>();
    latest.end = document.value("end", "") == kErrorWord ? RankEnd::kError : RankEnd::kTimeout;
    latest.written = fs::last_write_time(path);
    const auto& records = document.at("collectives");
    if (records.empty()) return latest;
    const auto& last = records.back();
    latest.sequence = last.at("sequence").get<std::uint64_t>();
    latest.left = !last.at("left").is_null();
    latest.words = words_of(last);
    return latest;
  } catch (const nlohmann::json::exception&) {
    throw DataError(path.string() + " is not a rank's list of collectives: remove it");
  }
}

bool is_of_a_rank(const fs::path& path) {
  const auto name = path.filename().string();
  return name.starts_with("collectives-rank-") && name.ends_with(".json");
}

std::vector<Latest> read_all(const fs::path& run_folder) {
  std::vector<Latest> ranks;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run_folder / "logs", error)) {
    if (is_of_a_rank(entry.path())) ranks.push_back(read_latest(entry.path()));
  }
  if (ranks.empty()) {
    throw MissingInputError("run folder '" + run_folder.string() +
                            "' has no logs/collectives-rank-*.json: no collective of it timed out "
                            "or failed; name the folder of a run that ended with 76");
  }
  std::sort(ranks.begin(), ranks.end(),
            [](const Latest& a, const Latest& b) { return a.rank < b.rank; });
  return ranks;
}

/// Whether the rank was in no collective when it failed.
bool is_own_error(const Latest& latest) { return latest.end == RankEnd::kError && latest.left; }

/// @param first of the ranks that wrote.
std::string own_error_verdict(const std::vector<Latest>& ranks, const Latest& first) {
  std::vector<int> failed;
  for (const auto& latest : ranks) {
    if (is_own_error(latest)) failed.push_back(latest.rank);
  }
  return name_ranks(failed) + " ended by an error that was no collective's" +
         (first.words.empty()
              ? ""
              : ", after collective " + std::to_string(first.sequence) + " (" + first.words + ")") +
         ": see the output of the job, and logs/rank-" + std::to_string(first.rank) + ".log";
}

}  // namespace

void write_collectives(const fs::path& run_folder, int rank, int size, const CollectiveLog& log,
                       RankEnd end, const std::vector<int>& silent) noexcept {
  try {
    Json records = Json::array();
    for (const auto& record : log.records()) {
      records.push_back({{"sequence", record.sequence},
                         {"name", record.name},
                         {"bytes", record.bytes},
                         {"step", record.step},
                         {"phase", record.phase},
                         {"entered", record.entered},
                         {"left", record.left > 0 ? Json(record.left) : Json(nullptr)}});
    }
    const Json document = {{"rank", rank},
                           {"size", size},
                           {"end", end == RankEnd::kError ? kErrorWord : "timeout"},
                           {"silent", silent},
                           {"collectives", std::move(records)}};
    const auto path = file_of(run_folder, rank);
    const auto whole = fs::path(path.string() + ".new");
    std::ofstream file(whole);
    file << document.dump(1) << "\n";
    file.close();
    if (file) fs::rename(whole, path);
  } catch (...) {  // NOLINT(bugprone-empty-catch): the run is ending with another error
  }
}

/// The first collective that some rank is still in says who is missing: those that wait in later
/// ones wait because of it. Where no rank is in one, the last that was entered.
std::string collective_verdict(const fs::path& run_folder) {
  auto ranks = read_all(run_folder);
  // A stopped process that is woken by the end of its run leaves a list too, the last of all: the
  // first to write had asked it in vain.
  const auto first =
      std::min_element(ranks.begin(), ranks.end(),
                       [](const Latest& a, const Latest& b) { return a.written < b.written; });
  if (is_own_error(*first)) return own_error_verdict(ranks, *first);
  const auto unanswered = first->silent;
  std::erase_if(ranks, [&](const Latest& latest) {
    return std::count(unanswered.begin(), unanswered.end(), latest.rank) > 0;
  });
  const Latest* at = nullptr;
  for (const auto& latest : ranks) {
    if (!latest.left && (at == nullptr || latest.sequence < at->sequence)) at = &latest;
  }
  if (at == nullptr) {
    at = &*std::max_element(ranks.begin(), ranks.end(), [](const Latest& a, const Latest& b) {
      return a.sequence < b.sequence;
    });
  }
  std::vector<int> came, inside, through, silent(static_cast<std::size_t>(ranks.front().size));
  std::iota(silent.begin(), silent.end(), 0);
  std::string behind;
  for (const auto& latest : ranks) {
    std::erase(silent, latest.rank);
    if (latest.sequence < at->sequence) {
      behind += "; rank " + std::to_string(latest.rank) + " was missing: its last was collective " +
                std::to_string(latest.sequence) + " (" + latest.words + ")";
      continue;
    }
    came.push_back(latest.rank);
    (latest.sequence == at->sequence && !latest.left ? inside : through).push_back(latest.rank);
  }
  const auto collective = "collective " + std::to_string(at->sequence) + " (" + at->words + ")";
  if (behind.empty() && silent.empty()) {
    if (inside.empty() || through.empty()) {
      return collective + " was entered by " + name_ranks(came) +
             ", which are all: none was missing, so look at the network between them";
    }
    return collective + " was left by " + name_ranks(through) + "; " + name_ranks(inside) +
           " did not come out of it";
  }
  auto sentence = collective + " was entered by " + name_ranks(came) + behind;
  if (!silent.empty()) {
    sentence += "; " + name_ranks(silent) + (silent.size() == 1 ? " was" : " were") +
                " missing and did not answer: stopped, killed, or on a machine that is gone";
  }
  return sentence;
}

void remove_collectives(const fs::path& run_folder) noexcept {
  std::error_code error;
  for (fs::directory_iterator entry(run_folder / "logs", error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (is_of_a_rank(entry->path())) fs::remove(entry->path(), ignored);
  }
}

CollectivesOnError::CollectivesOnError(fs::path run_folder, int rank, int size,
                                       const CollectiveLog& log)
    : run_folder_(std::move(run_folder)), rank_(rank), size_(size), log_(log) {}

CollectivesOnError::~CollectivesOnError() {
  if (std::uncaught_exceptions() > exceptions_)
    write_collectives(run_folder_, rank_, size_, log_, RankEnd::kError);
}

}  // namespace gondola
