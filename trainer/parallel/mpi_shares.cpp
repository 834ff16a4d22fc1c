#include "trainer/parallel/mpi_shares.hpp"

namespace gondola {

MpiShares::MpiShares(std::int64_t count, int rank, int size)
    : own_rank(static_cast<std::size_t>(rank)) {
  for (std::int64_t r = 0; r < size; ++r) {
    const auto first = r * count / size;
    starts.push_back(static_cast<int>(first));
    counts.push_back(static_cast<int>((r + 1) * count / size - first));
  }
  own_counts.assign(counts.size(), own());
  for (int r = 0; r < size; ++r) rows.push_back(r * own());
}

void MpiShares::add_up(const torch::Tensor& values, const torch::Tensor& parts) const {
  const torch::NoGradGuard no_grad;
  auto sum = own_of(values.detach());
  sum.copy_(parts[0]);
  for (std::int64_t r = 1; r < parts.size(0); ++r) sum.add_(parts[r]);
}

}  // namespace gondola
