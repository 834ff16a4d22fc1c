#include "launch/mpi_session.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include "launch/singleton_check.hpp"
#include "trainer/parallel/mpi_check.hpp"

namespace gondola {
namespace {

constexpr std::chrono::seconds kMeetingTime{2};  // for ranks that find the same error

/// One write, so that sentences of several ranks do not mix.
void print_sentence(const std::string& sentence) {
  const auto line = "gondola: " + sentence + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

std::uint64_t hash_of(
    std::string_view text) {  // FNV-1a: equal on every rank, which std::hash need not be
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

/// Tasks that Slurm started without PMIx are worlds of one each; they all find that error, and the
/// first of them speaks for all.
bool speaks_for_singletons(ExitCode code) {
  const char* const task = std::getenv("SLURM_PROCID");
  return code != ExitCode::kWrongWorld || task == nullptr || std::string_view(task) == "0";
}

/// What a rank that ends says to the others.
struct LastWord {
  std::uint64_t sentence_hash = 0;
  std::int64_t code = 0;
};

}  // namespace

MpiSession::MpiSession(int& argc, char**& argv) {
#ifdef OPEN_MPI
  if (const auto sentence = explain_missing_pmix(); !sentence.empty()) {
    if (speaks_for_singletons(ExitCode::kWrongWorld)) print_sentence(sentence);
    std::exit(static_cast<int>(ExitCode::kWrongWorld));
  }
#endif
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);  // its own errors end the process
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  try {
    find_places();
  } catch (const CommError& error) {  // peers may sit in these first collectives
    print_sentence(error.what());
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(ExitCode::kPeerLost));
    std::_Exit(static_cast<int>(ExitCode::kPeerLost));
  }
}

MpiSession::~MpiSession() { MPI_Finalize(); }

/// Collective. Of this rank in the world and on its machine.
void MpiSession::find_places() {
  mpi_check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  mpi_check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node_),
            "MPI_Comm_split_type");
  mpi_check(MPI_Comm_rank(node_, &local_rank_), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(node_, &local_size_), "MPI_Comm_size");
  mpi_check(MPI_Comm_dup(MPI_COMM_WORLD, &last_words_), "MPI_Comm_dup");
}

int MpiSession::abort(ExitCode code, const std::string& sentence) {
  if (size_ == 1) {
    if (speaks_for_singletons(code)) print_sentence(sentence);
    return static_cast<int>(code);
  }

  const LastWord mine{.sentence_hash = hash_of(sentence), .code = static_cast<std::int64_t>(code)};
  std::vector<LastWord> all(static_cast<std::size_t>(size_));
  MPI_Request request = MPI_REQUEST_NULL;
  int met = 0;
  const auto last = std::chrono::steady_clock::now() + kMeetingTime;
  if (MPI_Iallgather(&mine, sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE, last_words_,
                     &request) == MPI_SUCCESS) {
    while (met == 0 && std::chrono::steady_clock::now() < last) {
      if (MPI_Test(&request, &met, MPI_STATUS_IGNORE) != MPI_SUCCESS) break;
      if (met == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  const auto own_rank = "rank " + std::to_string(rank_) + ": ";
  if (met == 0) {
    print_sentence(own_rank + sentence);
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
    std::_Exit(static_cast<int>(code));
  }
  const auto says_it_too = [&](const LastWord& word) {
    return word.sentence_hash == mine.sentence_hash;
  };
  const bool first = std::find_if(all.begin(), all.end(), says_it_too) - all.begin() == rank_;
  const bool alike = std::all_of(all.begin(), all.end(), says_it_too);
  if (first) print_sentence((alike ? "" : own_rank) + sentence);
  return static_cast<int>(all.front().code);
}

}  // namespace gondola
