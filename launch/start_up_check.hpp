#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Something that must be the same on every rank.
struct NamedHash {
  std::string name;  ///< "config", "dataset", "program": a noun for the sentence.
  std::uint64_t hash = 0;
};

/// Collective. Compares each thing over the ranks, given in the same order everywhere.
/// @param control a communicator for CPU tensors.
/// @throws WorldError on every rank, naming the first thing that differs and the ranks outside the
/// majority (all of them where there is none).
void compare_over_ranks(Communicator& control, std::span<const NamedHash> things);

/// xxh3 of a text.
[[nodiscard]] std::uint64_t hash_of_text(std::string_view text);

/// xxh3 of this program's file, to find ranks that run another build. @throws IoError
[[nodiscard]] std::uint64_t hash_of_this_program();

}  // namespace gondola
