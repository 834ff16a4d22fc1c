#pragma once

#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "trainer/parallel/collective_log.hpp"

namespace gondola {

/// Why a rank ends.
enum class RankEnd {
  kTimeout,  ///< A collective did not end.
  kError,    ///< An exception: of a collective, or of anything else.
};

/// Writes this rank's latest collectives to logs/collectives-rank-<rank>.json of the run folder.
/// Any thread; what cannot be written is left, since the run is ending anyway.
/// @param silent ranks that did not answer when they were asked.
void write_collectives(const std::filesystem::path& run_folder, int rank, int size,
                       const CollectiveLog& log, RankEnd end,
                       const std::vector<int>& silent = {}) noexcept;

/// Which ranks came to the last collective of a run that timed out or failed, and which did not, or
/// which ended by errors that were no collective's: one sentence, from the files that its ranks
/// left.
/// @throws MissingInputError where there are none; DataError where one is damaged
[[nodiscard]] std::string collective_verdict(const std::filesystem::path& run_folder);

/// Removes what the ranks of an earlier start left there: with fewer ranks now some of it would
/// outlast the run and be taken for its own.
void remove_collectives(const std::filesystem::path& run_folder) noexcept;

/// Writes the collectives of a rank that is leaving its scope by an exception.
class CollectivesOnError {
 public:
  CollectivesOnError(std::filesystem::path run_folder, int rank, int size,
                     const CollectiveLog& log);
  ~CollectivesOnError();
  CollectivesOnError(const CollectivesOnError&) = delete;
  CollectivesOnError& operator=(const CollectivesOnError&) = delete;

 private:
  std::filesystem::path run_folder_;
  int rank_;
  int size_;
  const CollectiveLog& log_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace gondola
