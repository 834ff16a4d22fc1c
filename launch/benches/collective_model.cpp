#include "launch/benches/collective_model.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <bit>

#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

constexpr std::size_t kUnknowns = 4;  // latency and seconds per byte of small and large messages
using Row = std::array<double, kUnknowns>;

/// log2, rounded up.
int rounds_of(std::int64_t ranks) {
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(ranks - 1)));
}

/// Of m bytes a rank. Messages between neighbours carry two ranks' parts.
void add_gather(double m, std::int64_t ranks, double doubling_below, std::vector<Messages>& out) {
  if (ranks < 32 ? ranks < 4 || m < 256 * 1024 : m < doubling_below) {
    double held = 1;  // ranks whose parts one has
    for (int i = 0; i < rounds_of(ranks); ++i) {
      const double sent = std::min(held, static_cast<double>(ranks) - held);
      out.push_back({.count = 1, .bytes = sent * m});
      held += sent;
    }
  } else if (ranks < 1024) {
    out.push_back({.count = static_cast<double>(ranks - 1), .bytes = m});
  } else {
    out.push_back({.count = static_cast<double>(ranks) / 2, .bytes = 2 * m});
  }
}

/// Of n bytes, of which each rank adds up its share.
void add_shares(double n, std::int64_t ranks, std::vector<Messages>& out) {
  const auto share = n / static_cast<double>(ranks);
  if (ranks < MpiCommunicatorOptions{}.few_messages_from) {
    out.push_back({.count = 2 * static_cast<double>(ranks - 1), .bytes = share});
    return;
  }
  for (int i = 1; i <= rounds_of(ranks); ++i) {
    out.push_back({.count = 1, .bytes = n / static_cast<double>(std::int64_t{1} << i)});
  }
  add_gather(share, ranks, 4096, out);
}

/// What each unknown is multiplied with.
Row row_of(const Collective& collective, std::int64_t ranks) {
  Row row{};
  for (const auto& messages : messages_of(collective, ranks)) {
    const std::size_t first = messages.bytes > MessageCost::kShortBytes ? 2 : 0;
    row[first] += messages.count;
    row[first + 1] += messages.count * messages.bytes;
  }
  return row;
}

}  // namespace

std::vector<Messages> messages_of(const Collective& collective, std::int64_t ranks) {
  const auto n = static_cast<double>(collective.bytes);
  std::vector<Messages> out;
  switch (collective.kind) {
    case Collective::Kind::kGather:
      add_gather(n, ranks, 1024, out);
      break;
    case Collective::Kind::kSum:
      if (collective.bytes * ranks <= MpiCommunicatorOptions{}.gather_bytes) {
        add_gather(n, ranks, 1024, out);
      } else {
        add_shares(n, ranks, out);
      }
      break;
    default:
      out.push_back({.count = static_cast<double>(rounds_of(ranks)), .bytes = n});
  }
  return out;
}

double MessageCost::seconds(const Collective& collective, std::int64_t ranks) const {
  const auto row = row_of(collective, ranks);
  return row[0] * small.latency_seconds + row[1] * small.seconds_per_byte +
         row[2] * large.latency_seconds + row[3] * large.seconds_per_byte;
}

MessageCost fit_message_cost(std::span<const TimedCollective> measured, std::int64_t ranks) {
  // Row by row divided by what was measured: the right-hand side is 1. Columns are scaled to their
  // largest value, for latencies and seconds per byte lie far apart.
  const auto count = static_cast<std::int64_t>(measured.size());
  auto rows = torch::zeros({count, static_cast<std::int64_t>(kUnknowns)}, torch::kFloat64);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& [collective, seconds] = measured[static_cast<std::size_t>(i)];
    const auto row = row_of(collective, ranks);
    for (std::size_t k = 0; k < kUnknowns; ++k) {
      rows[i][static_cast<std::int64_t>(k)] = row[k] / seconds;
    }
  }
  const auto scale = rows.abs().amax(0);  // [4]
  std::vector<std::int64_t> kept;
  for (std::int64_t k = 0; k < static_cast<std::int64_t>(kUnknowns); ++k) {
    if (scale[k].item<double>() > 0) kept.push_back(k);
  }
  Row found{};
  while (!kept.empty()) {
    const auto columns = torch::tensor(kept, torch::kInt64);
    const auto matrix = rows.index_select(1, columns) / scale.index_select(0, columns);
    const auto solution = at::linalg_pinv(matrix).mv(torch::ones({count}, torch::kFloat64));
    const auto lowest = solution.argmin().item<std::int64_t>();
    if (solution[lowest].item<double>() >= 0) {
      for (std::size_t i = 0; i < kept.size(); ++i) {
        found[static_cast<std::size_t>(kept[i])] =
            (solution[static_cast<std::int64_t>(i)] / scale[kept[i]]).item<double>();
      }
      break;
    }
    kept.erase(kept.begin() + lowest);
  }
  MessageCost cost{.small = {.latency_seconds = found[0], .seconds_per_byte = found[1]},
                   .large = {.latency_seconds = found[2], .seconds_per_byte = found[3]}};
  const auto sends = [&](std::int64_t first) { return scale[first].item<double>() > 0; };
  if (!sends(2)) cost.large = cost.small;
  if (!sends(0)) cost.small = cost.large;
  return cost;
}

}  // namespace gondola
