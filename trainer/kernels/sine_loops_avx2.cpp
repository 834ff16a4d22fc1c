#define GONDOLA_LOOPS avx2_loops
#include "trainer/kernels/sine_loops_body.hpp"
