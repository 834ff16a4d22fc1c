#include "data/pixel_values.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <vector>

namespace gondola {
namespace {

TEST(PixelValues, every_byte_gives_the_bits_of_its_division_by_255) {
  {
    for (int byte = 0; byte < 256; ++byte) {
      const std::vector<std::uint8_t> bytes(11, static_cast<std::uint8_t>(byte));
      std::vector<float> values(bytes.size());
      bytes_to_values(bytes, values);
      volatile float quotient = static_cast<float>(byte);
      quotient = quotient / 255.0F;
      for (const float value : values) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(value),
                  std::bit_cast<std::uint32_t>(float{quotient}))
            << byte;
      }
    }
  }
}

TEST(PixelValues, nothing_beside_the_output_is_touched_whatever_its_length_and_place) {
  {
    for (std::size_t count = 0; count < 40; ++count) {
      for (std::size_t begin = 0; begin < 9; ++begin) {
        std::vector<std::uint8_t> bytes(count);
        for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * 5 + 1);
        std::vector<float> values(count + 20, -1.0F);
        bytes_to_values(bytes, std::span(values).subspan(begin, count));
        for (std::size_t i = 0; i < values.size(); ++i) {
          const bool inside = i >= begin && i < begin + count;
          ASSERT_EQ(values[i], inside ? static_cast<float>(bytes[i - begin]) / 255.0F : -1.0F);
        }
      }
    }
  }
}

}  // namespace
}  // namespace gondola
