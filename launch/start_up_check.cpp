#include "launch/start_up_check.hpp"

#include <torch/types.h>
#include <xxhash.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "configs/errors.hpp"
#include "trainer/parallel/rank_names.hpp"

namespace gondola {

void compare_over_ranks(Communicator& control, std::span<const NamedHash> things) {
  const auto count = static_cast<std::int64_t>(things.size());
  auto mine = torch::empty({count}, torch::kInt64);
  for (std::size_t i = 0; i < things.size(); ++i) {
    mine.mutable_data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(things[i].hash);
  }
  const auto all = control.all_gather(mine);  // [W, count]
  for (std::size_t i = 0; i < things.size(); ++i) {
    std::vector<std::uint64_t> hashes;
    for (std::int64_t r = 0; r < control.size(); ++r) {
      const auto hash =
          all.const_data_ptr<std::int64_t>()[r * count + static_cast<std::int64_t>(i)];
      hashes.push_back(static_cast<std::uint64_t>(hash));
    }
    if (std::equal(hashes.begin() + 1, hashes.end(), hashes.begin())) continue;
    const auto named = outside_majority(hashes);
    const bool one_majority = named.size() < hashes.size();
    throw WorldError("the " + things[i].name + " of " + name_ranks(named) +
                     (one_majority ? " is not that of the other ranks" : " is not the same") +
                     ": give every rank the same " + things[i].name);
  }
}

std::uint64_t hash_of_text(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

std::uint64_t hash_of_this_program() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file || bytes.empty()) {
    throw IoError("this program's own file (/proc/self/exe) cannot be read: mount /proc");
  }
  return hash_of_text(bytes);
}

}  // namespace gondola
