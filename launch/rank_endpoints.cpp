#include "launch/rank_endpoints.hpp"

#include <torch/types.h>
#include <unistd.h>

#include <array>
#include <string_view>

namespace gondola {
namespace {

/// What travels: texts end in a zero.
struct Entry {
  std::array<char, 256> machine{};
  std::array<char, 256> host{};
  int port = 0;
};

bool is_loopback(std::string_view host) {
  return host.starts_with("127.") || host == "localhost" || host == "::1";
}

}  // namespace

std::vector<RankEndpoint> gather_endpoints(Communicator& control, const RankEndpoint& mine) {
  Entry entry;
  ::gethostname(entry.machine.data(), entry.machine.size() - 1);
  mine.host.copy(entry.host.data(), entry.host.size() - 1);
  entry.port = mine.port;
  const auto bytes = static_cast<std::int64_t>(sizeof entry);
  const auto all = control.all_gather(torch::from_blob(&entry, {bytes}, torch::kUInt8));  // [W, n]
  const auto* const entries = reinterpret_cast<const Entry*>(all.const_data_ptr());
  std::vector<RankEndpoint> endpoints;
  for (int r = 0; r < control.size(); ++r) {
    const Entry& of_rank = entries[r];
    const bool here = std::string_view(of_rank.machine.data()) == entry.machine.data();
    endpoints.push_back(
        {.host = of_rank.host.data(),
         .port = of_rank.port,
         .reachable = of_rank.port > 0 && (here || !is_loopback(of_rank.host.data()))});
  }
  return endpoints;
}

}  // namespace gondola
