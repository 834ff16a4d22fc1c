#define GONDOLA_LOOPS avx512_loops
#include "trainer/kernels/norm_loops_body.hpp"
