#define GONDOLA_LOOPS any_loops
#include "trainer/kernels/norm_loops_body.hpp"
