#pragma once

#include <memory>
#include <span>
#include <string>

#include "data/image_source.hpp"

namespace gondola {

/// Whether a dataset's path asks for made-up images: it starts with "synthetic:".
[[nodiscard]] bool is_synthetic(const std::string& path);

/// Smooth blobs on a dark ground, for smoke runs: image `id` is a pure function of its id and size,
/// in integer arithmetic, so every rank on every machine makes the same one. The label is the
/// number of blobs less one, 0..3. Of `synthetic:<N>x<C>x<H>x<W>` the training split has N images
/// and the test split the ceil(N/10) that follow. The mean image is that of the first 4096,
/// of fewer where these have more than 16 MiB.
class SyntheticSource final : public ImageSource {
 public:
  /// @throws ConfigError where the description is none
  [[nodiscard]] static std::unique_ptr<SyntheticSource> open(const std::string& path, Split split);

  void read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const override;
  void pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
            std::span<std::uint8_t> out) const override;

 private:
  SyntheticSource(SourceInfo info, std::int64_t first)
      : ImageSource(std::move(info)), first_(first) {}

  std::int64_t first_;  ///< What id 0 is in the sequence that both splits are cut from.
};

}  // namespace gondola
