#include "trainer/parallel/bucket_choice.hpp"

#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

constexpr int kShortBytes = 256 * 1024;
constexpr int kLongBytes = 1024 * 1024;
constexpr double kRepeatSeconds = 0.1;
constexpr std::int64_t kMostRepeats = 15;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Collective. Seconds that a sum takes on this rank.
double seconds_of_sum(torch::Tensor& values, Communicator& communicator) {
  communicator.barrier();
  const auto start = std::chrono::steady_clock::now();
  communicator.all_reduce_sum(values);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Collective. `value` of rank 0.
double of_rank_zero(double value, Communicator& communicator) {
  auto tensor = torch::tensor(value, torch::kFloat64);
  communicator.broadcast(tensor, 0);
  return tensor.item<double>();
}

/// Collective. Of sums of numbers like those of `gradient`, as rank 0 sees them.
SumCost measured_cost(const torch::Tensor& gradient, Communicator& communicator) {
  const at::NoGradGuard no_grad;
  const auto options = gradient.options().requires_grad(false);
  const auto element = static_cast<std::int64_t>(gradient.element_size());
  auto few = torch::zeros({kShortBytes / element}, options);
  auto many = torch::zeros({kLongBytes / element}, options);
  (void)seconds_of_sum(few, communicator);  // connects the ranks
  std::vector<double> of_few, of_many;
  const auto repeat = [&] {
    of_few.push_back(seconds_of_sum(few, communicator));
    of_many.push_back(seconds_of_sum(many, communicator));
  };
  repeat();
  const auto of_gradient = of_many[0] * static_cast<double>(gradient.nbytes()) / kLongBytes;
  const auto allowed = std::max(kRepeatSeconds, of_gradient / 2);
  const auto repeats = of_rank_zero(allowed / (of_few[0] + of_many[0]), communicator);
  for (std::int64_t i = 1; i < kMostRepeats && static_cast<double>(i) < repeats; ++i) repeat();
  // The median, for what disturbs a sum now will disturb others.
  const auto more = static_cast<double>(kLongBytes - kShortBytes);
  const auto slope = std::max(median(of_many) - median(of_few), 0.0) / more;
  const auto latency = std::max(median(of_few) - slope * kShortBytes, 0.0);
  return {.latency_seconds = of_rank_zero(latency, communicator),
          .seconds_per_byte = of_rank_zero(slope, communicator)};
}

}  // namespace

std::int64_t bucket_for(const SumCost& cost) {
  constexpr double kMostLatency = 0.05;
  auto bytes = kSmallestBucket;
  const auto mostly_waits = [&] {
    const auto moving = static_cast<double>(bytes) * cost.seconds_per_byte;
    return cost.latency_seconds > kMostLatency * (cost.latency_seconds + moving);
  };
  while (bytes < kLargestBucket && mostly_waits()) bytes *= 2;
  return bytes;
}

BucketChoice choose_bucket(std::int64_t wanted_bytes, const torch::Tensor& gradient,
                           Communicator& communicator) {
  const auto whole = std::max(static_cast<std::int64_t>(gradient.nbytes()), kSmallestBucket);
  if (wanted_bytes > 0) return {.bytes = wanted_bytes};
  if (!gradient.is_cpu()) return {.bytes = whole};
  const bool measures = communicator.size() > 1 && whole > 2 * kSmallestBucket &&
                        communicator.size() < MpiCommunicatorOptions{}.few_messages_from;
  if (!measures) return {};
  const auto cost = measured_cost(gradient, communicator);
  return {.bytes = bucket_for(cost), .cost = cost};
}

}  // namespace gondola
