#include "trainer/kernels/patches.hpp"

#include <algorithm>
#include <vector>

namespace gondola {
namespace {

/// The input pixels along one axis whose patches reach an output pixel, and where in the patch that
/// pixel is: at `tap` in the patch of `last`, at tap + stride in that of last - 1, and so on.
struct Reach {
  std::int64_t last = 0, tap = 0, count = 0;
};

Reach reach_of(const PatchGrid& grid, std::int64_t output, std::int64_t inputs) {
  const auto from_corner = output + grid.padding;
  auto last = from_corner / grid.stride;
  auto tap = from_corner % grid.stride;
  if (last >= inputs) {
    tap += (last - inputs + 1) * grid.stride;
    last = inputs - 1;
  }
  if (tap >= grid.kernel) return {};
  return {
      .last = last, .tap = tap, .count = std::min((grid.kernel - 1 - tap) / grid.stride, last) + 1};
}

/// kChannels > 0: that many, known to the compiler.
template <std::int64_t kChannels, typename T>
void add_patches(const PatchGrid& grid, const T* patches, T* output) {
  const auto channels = kChannels > 0 ? kChannels : grid.channels;
  const auto patch_row = grid.kernel * channels;
  const auto patch = grid.kernel * patch_row;
  // From a pixel in a patch to the same pixel in the patch above, and in that to the left.
  const auto step_up = grid.stride * patch_row - grid.width * patch;
  const auto step_left = grid.stride * channels - patch;
  std::vector<Reach> across(static_cast<std::size_t>(grid.output_width()));
  for (std::size_t column = 0; column < across.size(); ++column) {
    across[column] = reach_of(grid, static_cast<std::int64_t>(column), grid.width);
  }
  T* sum = output;
  for (std::int64_t row = 0; row < grid.output_height(); ++row) {
    const auto down = reach_of(grid, row, grid.height);
    const T* const in_row = patches + down.last * grid.width * patch + down.tap * patch_row;
    for (const auto& reach : across) {
      const T* const first = in_row + reach.last * patch + reach.tap * channels;
      if (down.count == 2 && reach.count == 2) {  // nearly all pixels where kernel = 2 stride
        const T* const above = first + step_up;
        for (std::int64_t c = 0; c < channels; ++c) {
          sum[c] = (first[c] + first[step_left + c]) + (above[c] + above[step_left + c]);
        }
      } else {
        for (std::int64_t c = 0; c < channels; ++c) {
          T total = 0;
          for (std::int64_t i = 0; i < down.count; ++i) {
            for (std::int64_t j = 0; j < reach.count; ++j) {
              total += first[i * step_up + j * step_left + c];
            }
          }
          sum[c] = total;
        }
      }
      sum += channels;
    }
  }
}

}  // namespace

template <typename T>
void overlap_add(const PatchGrid& grid, const T* patches, T* output) {
  switch (grid.channels) {
    case 1:
      return add_patches<1>(grid, patches, output);
    case 3:
      return add_patches<3>(grid, patches, output);
    default:
      return add_patches<0>(grid, patches, output);
  }
}

template <typename T>
void take_patches(const PatchGrid& grid, const T* output, T* patches) {
  const auto width = grid.output_width();
  const auto height = grid.output_height();
  T* patch_row = patches;
  for (std::int64_t i = 0; i < grid.height; ++i) {
    for (std::int64_t j = 0; j < grid.width; ++j) {
      const auto left = grid.stride * j - grid.padding;
      const auto begin = std::clamp<std::int64_t>(-left, 0, grid.kernel);
      const auto end = std::clamp<std::int64_t>(width - left, begin, grid.kernel);
      for (std::int64_t k = 0; k < grid.kernel; ++k) {
        const auto row = grid.stride * i - grid.padding + k;
        const bool inside = row >= 0 && row < height;
        T* const patch_end = patch_row + grid.kernel * grid.channels;
        T* const first = inside ? patch_row + begin * grid.channels : patch_end;
        T* const last = inside ? patch_row + end * grid.channels : patch_end;
        std::fill(patch_row, first, T{0});
        if (first != last) {
          const T* const under = output + (row * width + left + begin) * grid.channels;
          std::copy(under, under + (last - first), first);
        }
        std::fill(last, patch_end, T{0});
        patch_row = patch_end;
      }
    }
  }
}

template void overlap_add(const PatchGrid&, const float*, float*);
template void overlap_add(const PatchGrid&, const double*, double*);
template void take_patches(const PatchGrid&, const float*, float*);
template void take_patches(const PatchGrid&, const double*, double*);

}  // namespace gondola
