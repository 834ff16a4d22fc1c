#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <random>
#include <string>

#include "configs/errors.hpp"

namespace gondola {

using Random = std::mt19937_64;

inline std::int64_t number_from_environment(const char* name, std::int64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

inline std::size_t below(Random& random, std::size_t limit) {
  return limit == 0 ? 0 : static_cast<std::size_t>(random() % limit);
}

/// Writes a number of 1, 2, 4 or 8 bytes that sizes and offsets go wrong with.
inline void spoil_number(std::string& bytes, Random& random) {
  const std::size_t width = std::size_t{1} << below(random, 4);
  if (bytes.size() < width) return;
  static constexpr std::uint64_t kValues[] = {0,
                                              1,
                                              2,
                                              0x7F,
                                              0x80,
                                              0xFF,
                                              0x7FFF,
                                              0xFFFF,
                                              0x10000,
                                              0x7FFFFFFF,
                                              0x80000000,
                                              0xFFFFFFFE,
                                              0xFFFFFFFF,
                                              0x7FFFFFFFFFFFFFFF,
                                              0xFFFFFFFFFFFFFFFF};
  const std::uint64_t value = below(random, 3) == 0 ? random() % (2 * bytes.size())
                                                    : kValues[below(random, std::size(kValues))];
  std::size_t place = below(random, bytes.size() - width + 1);
  if (below(random, 2) == 0) place -= place % width;
  const bool big_endian = below(random, 2) == 0;
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t shift = 8 * (big_endian ? width - 1 - i : i);
    bytes[place + i] = static_cast<char>(value >> shift);
  }
}

/// Damages a file in one or a few ways.
inline void damage(std::string& bytes, Random& random) {
  const std::size_t times = 1 + below(random, 4);
  for (std::size_t time = 0; time < times && !bytes.empty(); ++time) {
    // Headers are short and matter most: half of the damage is done to them.
    const std::size_t range =
        below(random, 2) == 0 ? std::min<std::size_t>(bytes.size(), 256) : bytes.size();
    switch (below(random, 6)) {
      case 0:
        for (std::size_t i = below(random, 8) + 1; i-- > 0;) {
          auto& byte = bytes[below(random, range)];
          byte = static_cast<char>(byte ^ (1 << below(random, 8)));
        }
        break;
      case 1:
        if (below(random, 3) == 0) bytes.resize(below(random, bytes.size()));
        break;
      case 2:
      case 3: {
        std::string front = bytes.substr(0, range);
        spoil_number(front, random);
        bytes.replace(0, range, front);
        break;
      }
      case 4: {  // a piece of the file over another
        const std::size_t length = below(random, 64);
        const std::size_t from = below(random, bytes.size()), to = below(random, range);
        bytes.replace(to, std::min(length, bytes.size() - to), bytes.substr(from, length));
        break;
      }
      default: {  // bytes out or in
        const std::size_t place = below(random, range);
        if (below(random, 2) == 0) {
          bytes.erase(place, below(random, 16));
        } else {
          bytes.insert(place, below(random, 16), static_cast<char>(random()));
        }
      }
    }
  }
}

/// How a damaged file was met.
struct FuzzCount {
  std::int64_t files = 0;
  std::int64_t refused = 0;  ///< With an error of this project.
};

/// Hands damaged copies of `whole` to `attempt`, each after `mend` in half of the cases. It must do
/// what it can with the bytes or throw an error of this project, soon. GONDOLA_FUZZ_FILES and
/// GONDOLA_FUZZ_SEED say how many and which, GONDOLA_FUZZ_VERBOSE names each.
inline FuzzCount fuzz_bytes(const std::string& name, const std::string& whole,
                            const std::function<void(std::string&)>& mend,
                            const std::function<void(const std::string&)>& attempt) {
  const std::int64_t seed = number_from_environment("GONDOLA_FUZZ_SEED", 1);
  const bool verbose = number_from_environment("GONDOLA_FUZZ_VERBOSE", 0) != 0;
  FuzzCount count{.files = number_from_environment("GONDOLA_FUZZ_FILES", 20)};
  for (std::int64_t i = 0; i < count.files; ++i) {
    Random random(static_cast<std::uint64_t>(seed * 1000003 + i));
    std::string bytes = whole;
    damage(bytes, random);
    if (below(random, 2) == 0) mend(bytes);
    if (verbose) std::fprintf(stderr, "file %lld of %s\n", static_cast<long long>(i), name.c_str());
    const auto begin = std::chrono::steady_clock::now();
    try {
      attempt(bytes);
    } catch (const Error& error) {
      ++count.refused;
      EXPECT_NE(std::string(error.what()), "") << i;
    } catch (const std::exception& error) {
      ADD_FAILURE() << "file " << i << " of seed " << seed << ": " << error.what();
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(taken.count(), 60.0) << "file " << i << " of seed " << seed;
  }
  return count;
}

}  // namespace gondola
