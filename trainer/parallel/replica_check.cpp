#include "trainer/parallel/replica_check.hpp"

#include <torch/types.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "configs/errors.hpp"
#include "trainer/parallel/rank_names.hpp"

namespace gondola {
namespace {

std::uint64_t hash_of(std::span<const torch::Tensor> state) {
  XXH64_hash_t hash = 0;
  for (const auto& tensor : state) {
    const auto host = tensor.detach().cpu();  // host sync: the check runs every so many steps
    hash = XXH3_64bits_withSeed(host.const_data_ptr(), host.nbytes(), hash);
  }
  return hash;
}

/// Collective. One value of each rank, in rank order.
template <typename Value>
std::vector<Value> gather(Communicator& communicator, Value value, const torch::Device& device) {
  const auto mine = torch::full({1}, value, c10::CppTypeToScalarType<Value>::value).to(device);
  const auto all = communicator.all_gather(mine).cpu();  // [W, 1]
  const auto* const values = all.template const_data_ptr<Value>();
  return {values, values + all.numel()};
}

/// max|a - b| / max|b|; 0 where both are all zero, not finite where either has a non-finite value.
double relative_difference(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.numel() == 0) return 0.0;
  const auto difference = (a - b).abs().max().to(torch::kFloat64).item<double>();
  if (difference == 0.0) return 0.0;
  return difference / b.abs().max().to(torch::kFloat64).item<double>();
}

}  // namespace

std::string ReplicaVerdict::warning() const {
  if (!mended()) return {};
  std::ostringstream text;
  text << "the state of " << name_ranks(different_ranks) << " had drifted from rank 0's by "
       << drift << " (relative) and was replaced by rank 0's";
  return text.str();
}

ReplicaVerdict check_replicas(Communicator& communicator, std::span<torch::Tensor> state,
                              std::int64_t step) {
  ReplicaVerdict verdict;
  if (communicator.size() == 1 || state.empty()) return verdict;
  const torch::NoGradGuard no_grad;
  const auto device = state.front().device();
  const auto gathered = gather(communicator, static_cast<std::int64_t>(hash_of(state)), device);
  const std::vector<std::uint64_t> hashes(gathered.begin(), gathered.end());
  for (std::size_t r = 1; r < hashes.size(); ++r) {
    if (hashes[r] != hashes[0]) verdict.different_ranks.push_back(static_cast<int>(r));
  }
  if (verdict.different_ranks.empty()) return verdict;

  std::vector<torch::Tensor> of_root;
  double drift_here = 0.0;
  bool mendable = true;
  for (const auto& tensor : state) {
    of_root.push_back(tensor.detach().clone());
    communicator.broadcast(of_root.back(), 0);
    const auto drift = relative_difference(tensor.detach(), of_root.back());
    mendable = mendable && std::isfinite(drift) && drift < kMendableDrift;
    drift_here = std::max(drift_here, drift);
  }
  const auto faults = gather(communicator, std::int64_t{mendable ? 0 : 1}, device);
  const auto drifts = gather(communicator, drift_here, device);
  verdict.drift = *std::max_element(drifts.begin(), drifts.end());
  if (std::any_of(faults.begin(), faults.end(), [](auto fault) { return fault != 0; })) {
    const auto named = outside_majority(hashes);
    std::ostringstream text;
    text << "at step " << step << " " << (named.size() < hashes.size() ? "the state of " : "")
         << name_ranks(named)
         << (named.size() < hashes.size() ? " differs from that of the other ranks"
                                          : " differ from one another")
         << " (relative drift " << verdict.drift << ", mended below " << kMendableDrift
         << "): restart from the last checkpoint, and suspect the memory or processor there";
    throw CommError(text.str());
  }
  for (std::size_t i = 0; i < state.size(); ++i) state[i].detach().copy_(of_root[i]);
  return verdict;
}

}  // namespace gondola
