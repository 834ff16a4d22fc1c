#pragma once

#include <nccl.h>

#include <chrono>
#include <cstdint>

namespace gondola::fake_nccl {

/// How ncclCommInitRankConfig goes.
enum class Init {
  kReady,       ///< In progress at first, then ready.
  kRefused,     ///< An error at once.
  kFails,       ///< In progress at first, then an error.
  kNeverReady,  ///< In progress for ever; this rank does not connect.
};

/// What goes wrong on this rank with the communicators made from now on.
struct Plan {
  Init init = Init::kReady;
  ncclResult_t error = ncclSystemError;
  /// The collective, counted from 1, that stays away until release(); 0: none.
  std::int64_t hold = 0;
  /// Those of so many bytes of a rank stay away until release() likewise; 0: none.
  std::int64_t hold_bytes = 0;
  /// The collective that sets `error` and never ends; 0: none.
  std::int64_t fail = 0;
  /// The collective that is refused with `error` where it is called; 0: none.
  std::int64_t refuse = 0;
  std::chrono::milliseconds delay{0};  ///< Before each collective.
  bool hold_finalize = false;          ///< It stays in progress for ever.
  bool hold_abort = false;             ///< It does not return before release_abort().
};
void set_plan(const Plan& plan);

/// From now on a collective takes its bytes over this longer, as over a slow link: asleep, on the
/// stream that it lies on. 0: no longer than it takes.
void set_link(double bytes_per_second);

/// Lets what Plan::hold holds go on.
void release();
void release_abort();
/// An asynchronous error of all communicators of this rank; what is on the stream can go on.
void raise(ncclResult_t error);

/// What this rank called, and what it did wrong.
struct Counts {
  std::int64_t inits = 0;
  std::int64_t called = 0;       ///< Collectives, refused ones too.
  std::int64_t collectives = 0;  ///< Put on a stream.
  std::int64_t ended = 0;        ///< Of them, those done; aborted ones are not.
  std::int64_t state_polls = 0;  ///< ncclCommGetAsyncError
  std::int64_t finalizes = 0;
  std::int64_t destroys = 0;
  std::int64_t aborts = 0;
  std::int64_t unfinished_at_abort = 0;  ///< Collectives that were on the stream.
  std::int64_t at_the_same_time = 0;     ///< Calls that came while another was under way.
  std::int64_t dead_handles = 0;         ///< Calls with a communicator that is gone.
};
[[nodiscard]] Counts counts();

/// Releases and aborts everything that is left, and forgets plan and counts.
void reset();

}  // namespace gondola::fake_nccl
