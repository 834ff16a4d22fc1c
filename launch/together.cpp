#include "launch/together.hpp"

#include <torch/types.h>

#include <array>
#include <cstring>
#include <string>

#include "configs/errors.hpp"
#include "launch/exit_code.hpp"

namespace gondola {

void run_together(Communicator& control, const std::function<void()>& action) {
  struct Outcome {
    std::int64_t code = 0;
    std::array<char, 2040> sentence{};  // ends in a zero
  } mine;
  try {
    action();
  } catch (const std::exception& error) {
    mine.code = static_cast<std::int64_t>(exit_code_of(error));
    sentence_of(error).copy(mine.sentence.data(), mine.sentence.size() - 1);
  }
  const auto all = control.all_gather(
      torch::from_blob(&mine, {static_cast<std::int64_t>(sizeof mine)}, torch::kUInt8));  // [W, n]
  const auto* const outcomes = static_cast<const std::byte*>(all.const_data_ptr());
  for (int rank = 0; rank < control.size(); ++rank) {
    Outcome outcome;
    std::memcpy(&outcome, outcomes + static_cast<std::size_t>(rank) * sizeof outcome,
                sizeof outcome);
    if (outcome.code != 0) {
      throw Error(static_cast<ExitCode>(outcome.code), outcome.sentence.data());
    }
  }
}

}  // namespace gondola
