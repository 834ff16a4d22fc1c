#include "trainer/parallel/agreement.hpp"

#include <torch/types.h>

namespace gondola {

Agreement agree(Communicator& control, const LocalState& local) {
  auto ranks = torch::full({1}, local.stop ? 1 : 0, torch::kInt64);  // how many say stop
  control.all_reduce_sum(ranks);
  return {.stop = ranks.item<std::int64_t>() > 0};
}

}  // namespace gondola
