#include "trainer/parallel/agreement.hpp"

#include <torch/types.h>

namespace gondola {

Agreement agree(Communicator& control, const LocalState& local) {
  const auto one_if = [](bool said) { return std::int64_t{said ? 1 : 0}; };
  // How many ranks say each.
  auto ranks =
      torch::tensor({one_if(local.stop), one_if(local.checkpoint == CheckpointNews::kWritten),
                     one_if(local.checkpoint == CheckpointNews::kFailed)},
                    torch::kInt64);
  control.all_reduce_sum(ranks);
  const auto said = [&](std::int64_t i) { return ranks[i].item<std::int64_t>() > 0; };
  Agreement agreed{.stop = said(0)};
  if (said(1)) agreed.checkpoint = CheckpointNews::kWritten;
  if (said(2)) agreed.checkpoint = CheckpointNews::kFailed;
  return agreed;
}

}  // namespace gondola
