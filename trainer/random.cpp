#include "trainer/random.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <xxhash.h>

#include <array>

namespace gondola {

std::uint64_t keyed_number(std::uint64_t seed, std::string_view purpose, std::uint64_t index,
                           std::uint64_t id) {
  const std::array<std::uint64_t, 4> key = {seed, XXH3_64bits(purpose.data(), purpose.size()),
                                            index, id};
  return XXH3_64bits(key.data(), sizeof(key));
}

at::Generator keyed_generator(std::uint64_t seed, std::string_view purpose, std::uint64_t index,
                              std::uint64_t id) {
  return at::detail::createCPUGenerator(keyed_number(seed, purpose, index, id));
}

}  // namespace gondola
