#include "trainer/parallel/agreement.hpp"

#include <torch/torch.h>

namespace gondola {

Agreement agree(Communicator& control, const LocalState& local) {
  auto ranks = torch::empty({2}, torch::kInt64);  // how many ranks say stop, fault
  auto* const counts = ranks.mutable_data_ptr<std::int64_t>();
  counts[0] = local.stop ? 1 : 0;
  counts[1] = local.fault ? 1 : 0;
  control.all_reduce_sum(ranks);
  return {.stop = counts[0] > 0, .fault = counts[1] > 0};
}

}  // namespace gondola
