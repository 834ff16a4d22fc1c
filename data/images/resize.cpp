#include "data/images/resize.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace gondola {
namespace {

constexpr int kWeightBits = 22;  // 8 bits of pixel + 22 of weight leave two bits of a 32-bit sum

std::uint8_t to_byte(std::int64_t sum) {
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(sum >> kWeightBits, 0, 255));
}

}  // namespace

BilinearResizer::BilinearResizer(std::int64_t height, std::int64_t width, std::int64_t new_height,
                                 std::int64_t new_width)
    : vertical_(make_axis(height, new_height)), horizontal_(make_axis(width, new_width)) {}

BilinearResizer::Axis BilinearResizer::make_axis(std::int64_t inputs, std::int64_t outputs) {
  assert(inputs >= 1 && outputs >= 1);
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  const double reach = std::max(scale, 1.0);  // half the width of the triangle

  Axis axis;
  axis.inputs = inputs;
  axis.outputs = outputs;
  axis.taps = std::min(inputs, 2 * static_cast<std::int64_t>(std::ceil(reach)) + 1);
  std::vector<double> triangle(static_cast<std::size_t>(axis.taps));
  for (std::int64_t output = 0; output < outputs; ++output) {
    const double centre = (static_cast<double>(output) + 0.5) * scale;
    const auto begin = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - reach + 0.5));
    const auto end =
        std::min<std::int64_t>(inputs, static_cast<std::int64_t>(centre + reach + 0.5));
    double sum = 0.0;
    for (std::int64_t input = begin; input < end; ++input) {
      const double distance = std::abs(static_cast<double>(input) + 0.5 - centre) / reach;
      sum += triangle[static_cast<std::size_t>(input - begin)] = std::max(0.0, 1.0 - distance);
    }
    // A window at the far edge moves in, so that all taps stay inside the row.
    const std::int64_t first = std::min(begin, inputs - axis.taps);
    axis.first.push_back(first);
    for (std::int64_t input = first; input < first + axis.taps; ++input) {
      const bool inside = input >= begin && input < end;
      const double weight = inside ? triangle[static_cast<std::size_t>(input - begin)] / sum : 0.0;
      axis.weights.push_back(static_cast<std::int32_t>(weight * (1 << kWeightBits) + 0.5));
    }
  }
  return axis;
}

void BilinearResizer::resize_rows(const Axis& axis, std::int64_t rows, const std::uint8_t* in,
                                  std::uint8_t* out) {
  for (std::int64_t row = 0; row < rows; ++row, in += axis.inputs) {
    const std::int32_t* weight = axis.weights.data();
    for (const std::int64_t first : axis.first) {
      std::int64_t sum = 1 << (kWeightBits - 1);
      for (std::int64_t tap = 0; tap < axis.taps; ++tap) {
        sum += static_cast<std::int64_t>(in[first + tap]) * *weight++;
      }
      *out++ = to_byte(sum);
    }
  }
}

void BilinearResizer::resize_columns(const Axis& axis, std::int64_t columns, const std::uint8_t* in,
                                     std::uint8_t* out) {
  std::vector<std::int64_t> sums(static_cast<std::size_t>(columns));
  const std::int32_t* weight = axis.weights.data();
  for (const std::int64_t first : axis.first) {
    std::fill(sums.begin(), sums.end(), 1 << (kWeightBits - 1));
    const std::uint8_t* row = in + first * columns;
    for (std::int64_t tap = 0; tap < axis.taps; ++tap, ++weight) {
      for (std::int64_t& sum : sums) {
        sum += static_cast<std::int64_t>(*row++) * *weight;
      }
    }
    out = std::transform(sums.begin(), sums.end(), out, to_byte);
  }
}

void BilinearResizer::resize(std::span<const std::uint8_t> input,
                             std::span<std::uint8_t> output) const {
  const std::int64_t in_plane = vertical_.inputs * horizontal_.inputs;
  const std::int64_t out_plane = vertical_.outputs * horizontal_.outputs;
  const auto planes = static_cast<std::int64_t>(input.size()) / in_plane;
  assert(static_cast<std::int64_t>(input.size()) == planes * in_plane);
  assert(static_cast<std::int64_t>(output.size()) == planes * out_plane);

  const bool columns_first =
      vertical_.outputs * horizontal_.inputs < horizontal_.outputs * vertical_.inputs;
  std::vector<std::uint8_t> between(
      static_cast<std::size_t>(columns_first ? vertical_.outputs * horizontal_.inputs
                                             : vertical_.inputs * horizontal_.outputs));
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    const std::uint8_t* in = input.data() + plane * in_plane;
    std::uint8_t* out = output.data() + plane * out_plane;
    if (columns_first) {
      resize_columns(vertical_, horizontal_.inputs, in, between.data());
      resize_rows(horizontal_, vertical_.outputs, between.data(), out);
    } else {
      resize_rows(horizontal_, vertical_.inputs, in, between.data());
      resize_columns(vertical_, horizontal_.outputs, between.data(), out);
    }
  }
}

}  // namespace gondola
