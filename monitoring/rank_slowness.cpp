#include "monitoring/rank_slowness.hpp"

#include <algorithm>
#include <utility>

namespace gondola {

namespace {

double own_work(const PhaseSeconds& seconds) {
  double sum = 0.0;
  for (const auto phase : {Phase::kData, Phase::kInner, Phase::kOuter}) {
    sum += seconds[static_cast<std::size_t>(phase)];
  }
  return sum;
}

/// REQUIRES a value, and no NaN.
double lower_median(std::vector<double> values) {
  const auto middle = values.begin() + (static_cast<std::ptrdiff_t>(values.size()) - 1) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void RankSlowness::add(const std::vector<PhaseSeconds>& ranks) {
  if (ranks.empty()) return;
  std::vector<double> quotients;
  for (const auto& seconds : ranks) quotients.push_back(own_work(seconds));
  const double usual = lower_median(quotients);
  if (!(usual > 0.0)) return;
  for (auto& quotient : quotients) quotient /= usual;
  quotients_.push_back(std::move(quotients));
  if (quotients_.size() > kWindow) quotients_.pop_front();
}

std::vector<double> RankSlowness::ratios() const {
  std::vector<double> result;
  if (quotients_.empty()) return result;
  for (std::size_t rank = 0; rank < quotients_.front().size(); ++rank) {
    std::vector<double> of_rank;
    for (const auto& step : quotients_) of_rank.push_back(step[rank]);
    result.push_back(lower_median(std::move(of_rank)));
  }
  return result;
}

}  // namespace gondola
