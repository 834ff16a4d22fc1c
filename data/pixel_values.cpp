#include "data/pixel_values.hpp"

#include <cassert>
#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gondola {
#if defined(__x86_64__)
namespace {

/// Rounds down instead of to nearest, in this thread, while it lives.
///
/// Why that makes bytes times 1/255 the exact quotients: x/255 has the digits of x over and over,
/// so after the 24 bits that a float keeps (three times x) x itself follows, beginning with its
/// highest 1: the quotient always rounds up. The float nearest to 1/255 is too large by about half
/// a unit of its last place; times x the excess is from one to two such units above the 24 bits
/// cut off, and rounding down takes the quotient's very float. A test tries all 256.
class RoundDown {
 public:
  RoundDown() : before_(_mm_getcsr()) { _mm_setcsr((before_ & ~kRounding) | kDown); }
  ~RoundDown() { _mm_setcsr(before_); }
  RoundDown(const RoundDown&) = delete;
  RoundDown& operator=(const RoundDown&) = delete;

 private:
  static constexpr unsigned kRounding = 0x6000, kDown = 0x2000;
  unsigned before_;
};

constexpr float kInverse = 1.0F / 255.0F;

// Not inlined: the compiler must not move the products out of RoundDown's life.
[[gnu::noinline]] void multiply(const std::uint8_t* bytes, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(bytes[i]) * kInverse;
  }
}

[[gnu::noinline, gnu::target("avx2")]] void multiply_eights(const std::uint8_t* bytes, float* out,
                                                            std::size_t count) {
  const __m256 inverse = _mm256_set1_ps(kInverse);
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + i));
    const __m256 x = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(x, inverse));
  }
  for (; i < count; ++i) {
    out[i] = static_cast<float>(bytes[i]) * kInverse;
  }
}

bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}

}  // namespace
#endif

void bytes_to_values(std::span<const std::uint8_t> bytes, std::span<float> out) {
  assert(bytes.size() == out.size());
#if defined(__x86_64__)
  const RoundDown rounding;
  (has_avx2() ? multiply_eights : multiply)(bytes.data(), out.data(), bytes.size());
#else
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    out[i] = static_cast<float>(bytes[i]) / 255.0F;
  }
#endif
}

}  // namespace gondola
