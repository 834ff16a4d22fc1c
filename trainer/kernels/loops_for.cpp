#include "trainer/kernels/loops_for.hpp"

#include <ATen/Version.h>

namespace gondola {

std::vector<std::string> loop_capabilities() {
  const auto best = at::get_cpu_capability();
  std::vector<std::string> result = {"DEFAULT"};
  if (best == "AVX2" || best == "AVX512") result.emplace_back("AVX2");
  if (best == "AVX512") result.emplace_back("AVX512");
  return result;
}

}  // namespace gondola
