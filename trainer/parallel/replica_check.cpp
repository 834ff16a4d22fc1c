#include "trainer/parallel/replica_check.hpp"

#include <torch/types.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "configs/errors.hpp"
#include "trainer/parallel/rank_names.hpp"

namespace gondola {
namespace {

/// Collective. One value of each rank, in rank order.
template <typename Value>
std::vector<Value> gather(Communicator& communicator, Value value, const torch::Device& device) {
  const auto mine = torch::full({1}, value, c10::CppTypeToScalarType<Value>::value).to(device);
  const auto all = communicator.all_gather(mine).cpu();  // [W, 1]
  const auto* const values = all.template const_data_ptr<Value>();
  return {values, values + all.numel()};
}

/// The first rank that is none of the odd ones; 0 where all are.
int reference_rank(const std::vector<int>& odd, int world) {
  for (int rank = 0; rank < world; ++rank) {
    if (std::ranges::find(odd, rank) == odd.end()) return rank;
  }
  return 0;
}

/// max|a - b| / max|b|; 0 where both are all zero, not finite where either has a non-finite value.
double relative_difference(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.numel() == 0) return 0.0;
  const auto difference = (a - b).abs().max().to(torch::kFloat64).item<double>();
  if (difference == 0.0) return 0.0;
  return difference / b.abs().max().to(torch::kFloat64).item<double>();
}

}  // namespace

std::uint64_t hash_of(std::span<const torch::Tensor> tensors) {
  XXH64_hash_t hash = 0;
  for (const auto& tensor : tensors) {
    const auto host = tensor.detach().cpu();  // host sync: at the start, and every so many steps
    hash = XXH3_64bits_withSeed(host.const_data_ptr(), host.nbytes(), hash);
  }
  return hash;
}

std::string ReplicaVerdict::warning() const {
  if (!mended()) return {};
  std::ostringstream text;
  const auto owner = "rank " + std::to_string(reference) + "'s";
  text << "the state of " << name_ranks(different_ranks) << " had drifted from " << owner << " by "
       << drift << " (relative) and was replaced by " << owner;
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
  const auto odd = outside_majority(hashes);
  verdict.reference = reference_rank(odd, communicator.size());
  const auto expected = hashes[static_cast<std::size_t>(verdict.reference)];
  for (std::size_t r = 0; r < hashes.size(); ++r) {
    if (hashes[r] != expected) verdict.different_ranks.push_back(static_cast<int>(r));
  }
  if (verdict.different_ranks.empty()) return verdict;

  std::vector<torch::Tensor> wanted;
  double drift_here = 0.0;
  bool mendable = true;
  for (const auto& tensor : state) {
    wanted.push_back(tensor.detach().clone());
    communicator.broadcast(wanted.back(), verdict.reference);
    const auto drift = relative_difference(tensor.detach(), wanted.back());
    mendable = mendable && std::isfinite(drift) && drift < kMendableDrift;
    drift_here =
        std::max(drift_here, std::isnan(drift) ? std::numeric_limits<double>::infinity() : drift);
  }
  const auto faults = gather(communicator, std::int64_t{mendable ? 0 : 1}, device);
  const auto drifts = gather(communicator, drift_here, device);
  verdict.drift = *std::max_element(drifts.begin(), drifts.end());
  if (std::any_of(faults.begin(), faults.end(), [](auto fault) { return fault != 0; })) {
    const bool some = odd.size() < hashes.size();
    std::ostringstream text;
    text << "at step " << step << " " << (some ? "the state of " : "") << name_ranks(odd)
         << (some ? " differs from that of the other ranks" : " differ from one another")
         << " (relative drift " << verdict.drift << ", mended below " << kMendableDrift
         << "): restart from the last checkpoint, and suspect the memory or processor there";
    throw CommError(text.str());
  }
  for (std::size_t i = 0; i < state.size(); ++i) state[i].detach().copy_(wanted[i]);
  return verdict;
}

bool same_on_all_ranks(Communicator& communicator, const torch::Tensor& tensor) {
  const auto hash = static_cast<std::int64_t>(hash_of({&tensor, 1}));
  const auto hashes = gather(communicator, hash, tensor.device());
  return std::ranges::all_of(hashes, [&](auto other) { return other == hash; });
}

}  // namespace gondola
