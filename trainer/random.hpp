#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <string_view>

namespace gondola {

/// A CPU generator whose stream is a pure function of the key: randomness enters as (seed, purpose,
/// index, id), never as ambient state, so a draw is the same on any rank of any number of ranks.
/// @param index step or epoch; @param id global image id.
[[nodiscard]] at::Generator keyed_generator(std::uint64_t seed, std::string_view purpose,
                                            std::uint64_t index = 0, std::uint64_t id = 0);

/// A number of that stream's key, for what draws by itself: another for another key.
[[nodiscard]] std::uint64_t keyed_number(std::uint64_t seed, std::string_view purpose,
                                         std::uint64_t index = 0, std::uint64_t id = 0);

}  // namespace gondola
