#define GONDOLA_LOOPS avx512_loops
#include "trainer/kernels/sine_loops_body.hpp"
