#include "trainer/kernels/sine_loops.hpp"

#include <ATen/Version.h>

#include "trainer/kernels/loops_for.hpp"

namespace gondola {

#define GONDOLA_DECLARE_LOOPS(name)            \
  namespace name {                             \
  extern const SineLoops<float> kFloatLoops;   \
  extern const SineLoops<double> kDoubleLoops; \
  }
GONDOLA_DECLARE_LOOPS(any_loops)
GONDOLA_DECLARE_LOOPS(avx2_loops)
GONDOLA_DECLARE_LOOPS(avx512_loops)

template <>
const SineLoops<float>& sine_loops_for(const std::string& capability) {
  return loops_for(capability, any_loops::kFloatLoops, avx2_loops::kFloatLoops,
                   avx512_loops::kFloatLoops);
}

template <>
const SineLoops<double>& sine_loops_for(const std::string& capability) {
  return loops_for(capability, any_loops::kDoubleLoops, avx2_loops::kDoubleLoops,
                   avx512_loops::kDoubleLoops);
}

template <typename T>
const SineLoops<T>& sine_loops() {
  static const SineLoops<T>& loops = sine_loops_for<T>(at::get_cpu_capability());
  return loops;
}

template const SineLoops<float>& sine_loops();
template const SineLoops<double>& sine_loops();

}  // namespace gondola
