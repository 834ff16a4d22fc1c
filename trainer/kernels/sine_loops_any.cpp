#define GONDOLA_LOOPS any_loops
#include "trainer/kernels/sine_loops_body.hpp"
