#pragma once

#include <ATen/Context.h>

namespace gondola {

/// While it lives, convolutions on a GPU come to the same bits each time (cuDNN would else choose
/// algorithms that add in any order); for what ranks compute each for itself and must agree on. Of
/// all threads.
class DeterministicConvolutions {
 public:
  DeterministicConvolutions() : before_(at::globalContext().deterministicCuDNN()) {
    at::globalContext().setDeterministicCuDNN(true);
  }
  ~DeterministicConvolutions() { at::globalContext().setDeterministicCuDNN(before_); }
  DeterministicConvolutions(const DeterministicConvolutions&) = delete;
  DeterministicConvolutions& operator=(const DeterministicConvolutions&) = delete;

 private:
  bool before_;
};

}  // namespace gondola
