#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace gondola {

/// Uninitialised memory that begins on a cache line.
class AlignedBytes {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBytes() = default;
  /// @throws std::bad_alloc
  explicit AlignedBytes(std::size_t bytes)
      : memory_(static_cast<std::byte*>(
            std::aligned_alloc(kAlignment, rounded_up(bytes > 0 ? bytes : 1)))) {
    if (!memory_) throw std::bad_alloc();
  }

  [[nodiscard]] std::byte* data() const { return memory_.get(); }
  [[nodiscard]] static constexpr std::size_t rounded_up(std::size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace gondola
