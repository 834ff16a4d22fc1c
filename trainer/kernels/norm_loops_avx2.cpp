#define GONDOLA_LOOPS avx2_loops
#include "trainer/kernels/norm_loops_body.hpp"
