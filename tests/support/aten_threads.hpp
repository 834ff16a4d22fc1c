#pragma once

#include <ATen/Parallel.h>

namespace gondola {

/// Sets the number of ATen's threads and puts it back.
class AtenThreads {
 public:
  explicit AtenThreads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~AtenThreads() { at::set_num_threads(before_); }
  AtenThreads(const AtenThreads&) = delete;
  AtenThreads& operator=(const AtenThreads&) = delete;

 private:
  int before_;
};

}  // namespace gondola
