#include "trainer/kernels/parallel_tasks.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

namespace gondola {

void parallel_tasks(std::int64_t tasks, const std::function<void(std::int64_t)>& task) {
  at::parallel_for(0, tasks, /*grain_size=*/1, [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_grad;  // a thread-local: threads of the pool have their own
    for (std::int64_t i = begin; i < end; ++i) task(i);
  });
}

std::int64_t parallel_width(c10::Device device) {
  return at::in_parallel_region() || !device.is_cpu() ? 1 : at::get_num_threads();
}

}  // namespace gondola
