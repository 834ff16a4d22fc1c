#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset_file.hpp"

namespace gondola {

/// Goes through images 0..images-1 in order, in blocks of at most `block_bytes` (of one image at
/// the least): read(first, count, block) fills a block, then take(first, block) uses it; the block
/// [count, C, H, W] is gone after that.
template <typename Read, typename Take>
void for_each_block(std::int64_t images, std::int64_t image_bytes, std::int64_t block_bytes,
                    const Read& read, const Take& take) {
  if (images == 0) return;
  const std::int64_t step = std::clamp<std::int64_t>(block_bytes / image_bytes, 1, images);
  std::vector<std::uint8_t> buffer(static_cast<std::size_t>(step * image_bytes));
  for (std::int64_t first = 0; first < images; first += step) {
    const std::int64_t count = std::min(step, images - first);
    const auto block = std::span(buffer).first(static_cast<std::size_t>(count * image_bytes));
    read(first, count, block);
    take(first, std::span<const std::uint8_t>(block));
  }
}

/// The same of a split of a dataset file, through HDF5. REQUIRES the split. @throws DataError
template <typename Take>
void for_each_block(const DatasetFile& file, Split split, std::int64_t block_bytes,
                    const Take& take) {
  const SplitInfo& info = *file.split(split);
  for_each_block(
      info.images, info.image_bytes(), block_bytes,
      [&](std::int64_t first, std::int64_t count, std::span<std::uint8_t> block) {
        file.read_images(split, first, count, block);
      },
      take);
}

}  // namespace gondola
