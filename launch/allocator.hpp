#pragma once

namespace gondola {

/// Makes malloc keep the memory of freed tensors instead of giving it back to the kernel at every
/// step, which costs page faults that can double a step's time. To be called once, before threads
/// start; without glibc it does nothing.
void keep_freed_memory();

}  // namespace gondola
