#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "trainer/step_report.hpp"

namespace gondola {

/// A picture in memory: rows of interleaved bytes, [height, width, channels].
struct Picture {
  std::int64_t width = 0, height = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// Originals over their reconstructions, rows of up to 16 pairs in the report's order on a white
/// ground: each pixel drawn as a square of whole size, as large as makes the picture at least 512
/// wide; 2 pixels between cells, 8 between rows of pairs. RGB for 3 channels, else the first
/// channel in grey. Values are clamped to [0, 1] and rounded; what is not a number is black.
/// REQUIRES n >= 1 and as many values as the sizes say.
[[nodiscard]] Picture draw_pairs(const SampleReport& report);

/// Images [n, C, H, W] in rows of `columns`, drawn as draw_pairs() does. REQUIRES n, columns >= 1.
[[nodiscard]] Picture draw_grid(const std::vector<float>& images, std::int64_t n,
                                std::int64_t channels, std::int64_t height, std::int64_t width,
                                std::int64_t columns);

/// Writes samples/step-<8 digits>.png of the run folder for each report of samples, on rank 0. On
/// resume and on a rollback the pictures beyond the checkpoint's step are removed.
class ImageGrid final : public StepObserver {
 public:
  /// Pictures of steps up to `resume_step` stay; 0 for a fresh run. @throws IoError
  ImageGrid(std::filesystem::path run_folder, std::int64_t resume_step);

  /// @throws IoError
  void on_samples(const SampleReport& report) override;
  void on_rollback(const RollbackReport& report) override;

 private:
  void keep_up_to(std::int64_t step) const;

  std::filesystem::path run_folder_;
};

}  // namespace gondola
