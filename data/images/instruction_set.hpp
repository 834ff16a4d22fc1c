#pragma once

namespace gondola {

/// Instructions of this processor that the pixel loops make use of, each with those before it.
enum class InstructionSet { kBase, kAvx2, kAvx512 };

inline InstructionSet instruction_set() {
#if defined(__x86_64__)
  static const InstructionSet found = [] {
    if (__builtin_cpu_supports("avx2") == 0) return InstructionSet::kBase;
    return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0
               ? InstructionSet::kAvx512
               : InstructionSet::kAvx2;
  }();
  return found;
#else
  return InstructionSet::kBase;
#endif
}

}  // namespace gondola
