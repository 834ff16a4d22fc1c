#pragma once

#include <torch/types.h>

#include <memory>
#include <span>

#include "data/image_source.hpp"

namespace gondola {

/// A whole split as one u8 tensor on the device (`data.cache = device`): for datasets that are
/// small beside its memory.
class DeviceCache {
 public:
  /// Reads every image once. @throws DataError, IoError
  DeviceCache(const ImageSource& source, torch::Device device);

  /// [ids.size(), C, H, W] u8 on the device, in the order of `ids`.
  [[nodiscard]] torch::Tensor gather(std::span<const std::int64_t> ids) const;

 private:
  torch::Tensor images_;  ///< [N, C, H, W]
};

/// The ids and labels of a source without its pixels: what a loader needs when the pixels come from
/// a DeviceCache.
[[nodiscard]] std::unique_ptr<ImageSource> without_pixels(const ImageSource& source);

}  // namespace gondola
