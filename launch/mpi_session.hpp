#pragma once

#include <mpi.h>

#include <string>

#include "configs/errors.hpp"

namespace gondola {

/// This process's part of the MPI world, from MPI_Init_thread (FUNNELED: the thread that made the
/// session is the one that calls MPI) to MPI_Finalize. One per process, made first in main.
class MpiSession {
 public:
  /// Collective. Errors in MPI_COMM_WORLD and its children return instead of ending the process.
  MpiSession(int& argc, char**& argv);
  /// Collective: MPI_Finalize. Every rank comes here on its own or after abort() agreed on it.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  /// Among the ranks of this machine.
  [[nodiscard]] int local_rank() const noexcept { return local_rank_; }
  [[nodiscard]] int local_size() const noexcept { return local_size_; }
  [[nodiscard]] MPI_Comm world() const noexcept { return MPI_COMM_WORLD; }
  /// The ranks of this machine.
  [[nodiscard]] MPI_Comm node() const noexcept { return node_; }

  /// Ends the run on an error: prints `gondola: rank R: sentence` on stderr and sees to it that
  /// every rank ends with `code`.
  ///
  /// Where all ranks come here within two seconds, as with a bad option, equal sentences are
  /// printed once and without the rank, and this returns the code for main to return (the lowest
  /// rank's, the same everywhere). Otherwise some rank sits in a collective: MPI_Abort(code), which
  /// does not return.
  [[nodiscard]] int abort(ExitCode code, const std::string& sentence);

 private:
  void find_places();

  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  MPI_Comm node_ = MPI_COMM_NULL;
  MPI_Comm last_words_ = MPI_COMM_NULL;  // abort() alone uses it: nothing else can be pending there
};

}  // namespace gondola
