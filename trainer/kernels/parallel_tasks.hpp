#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>

namespace gondola {

/// Runs task(0) ... task(tasks - 1) on ATen's threads, as many at a time as at::get_num_threads();
/// ATen operators inside a task use one thread. Gradients are not recorded in tasks. What a task
/// throws is thrown here.
void parallel_tasks(std::int64_t tasks, const std::function<void(std::int64_t)>& task);

/// Tasks to cut work on a device into so that every thread has one; 1 on a GPU, whose work one
/// thread puts on its stream.
[[nodiscard]] std::int64_t parallel_width(c10::Device device = c10::kCPU);

}  // namespace gondola
