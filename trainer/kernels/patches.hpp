#pragma once

#include <cstdint>

namespace gondola {

/// Where the patches of a transposed convolution lie: pixel (i, j) of its input belongs to kernel x
/// kernel pixels of its output, from (stride i - padding, stride j - padding) on. Patches are
/// [height, width, kernel, kernel, channels], the output [output_height, output_width, channels].
struct PatchGrid {
  std::int64_t height = 0, width = 0;  ///< Of the input.
  std::int64_t channels = 0;           ///< Of the output.
  std::int64_t kernel = 4, stride = 2, padding = 1;

  [[nodiscard]] std::int64_t output_height() const { return output_length(height); }
  [[nodiscard]] std::int64_t output_width() const { return output_length(width); }
  [[nodiscard]] std::int64_t patch_values() const { return kernel * kernel * channels; }

 private:
  [[nodiscard]] std::int64_t output_length(std::int64_t input) const {
    return (input - 1) * stride - 2 * padding + kernel;
  }
};

/// Adds up the patches of one image where they overlap; what lies outside is dropped. `output` is
/// written whole.
template <typename T>
void overlap_add(const PatchGrid& grid, const T* patches, T* output);

/// The adjoint: each patch gets the pixels of one image that lie under it, and 0 outside. `patches`
/// is written whole.
template <typename T>
void take_patches(const PatchGrid& grid, const T* output, T* patches);

}  // namespace gondola
