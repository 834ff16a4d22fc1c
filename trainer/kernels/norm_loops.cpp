#include "trainer/kernels/norm_loops.hpp"

#include <ATen/Version.h>

#include "trainer/kernels/loops_for.hpp"

namespace gondola {

#define GONDOLA_DECLARE_LOOPS(name)                \
  namespace name {                                 \
  extern const NormLoops<float> kFloatNormLoops;   \
  extern const NormLoops<double> kDoubleNormLoops; \
  }
GONDOLA_DECLARE_LOOPS(any_loops)
GONDOLA_DECLARE_LOOPS(avx2_loops)
GONDOLA_DECLARE_LOOPS(avx512_loops)

template <>
const NormLoops<float>& norm_loops_for(const std::string& capability) {
  return loops_for(capability, any_loops::kFloatNormLoops, avx2_loops::kFloatNormLoops,
                   avx512_loops::kFloatNormLoops);
}

template <>
const NormLoops<double>& norm_loops_for(const std::string& capability) {
  return loops_for(capability, any_loops::kDoubleNormLoops, avx2_loops::kDoubleNormLoops,
                   avx512_loops::kDoubleNormLoops);
}

template <typename T>
const NormLoops<T>& norm_loops() {
  static const NormLoops<T>& loops = norm_loops_for<T>(at::get_cpu_capability());
  return loops;
}

template const NormLoops<float>& norm_loops();
template const NormLoops<double>& norm_loops();

}  // namespace gondola
