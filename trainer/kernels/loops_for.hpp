#pragma once

#include <string>
#include <vector>

namespace gondola {

/// Of loops that are compiled for several instruction sets, those for one of them, as
/// at::get_cpu_capability() calls it: "AVX512", "AVX2"; every other name gives the loops that run
/// anywhere.
template <typename Loops>
[[nodiscard]] const Loops& loops_for(const std::string& capability, const Loops& any,
                                     const Loops& avx2, const Loops& avx512) {
  if (capability == "AVX512") return avx512;
  if (capability == "AVX2") return avx2;
  return any;
}

/// The instruction sets that ATen uses here, the plainest first, as loops_for() takes them.
[[nodiscard]] std::vector<std::string> loop_capabilities();

}  // namespace gondola
