#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "data/images/planar_image.hpp"
#include "data/images/resize.hpp"

namespace gondola {

struct FitOptions {
  std::int64_t height = 0, width = 0;  ///< Of the images made; 0: leave as they are.
  enum class Crop {
    kNone,    ///< Proportions change where the size's differ.
    kCenter,  ///< First cut out the largest centred rectangle of the size's proportions.
  };
  Crop crop = Crop::kNone;
  Filter filter = Filter::kBilinear;
  std::int64_t channels = 0;  ///< 1: grey (ITU-R 601 luma), 3: colour (grey three times); 0: leave.
};

/// Brings pictures to the size and channels of a dataset: channels, then crop, then resize.
class ImageFit {
 public:
  explicit ImageFit(const FitOptions& options) : options_(options) {}

  /// Thread-safe. @throws DataError where other channels are asked for than an image of neither 1
  /// nor 3 channels has, or more than kMostImageBytes
  [[nodiscard]] PlanarImage apply(PlanarImage image) const;

  /// What is done, in words; "" where nothing is.
  [[nodiscard]] std::string words() const;

 private:
  void require_possible(const PlanarImage& image) const;
  [[nodiscard]] std::shared_ptr<const Resizer> resizer_for(std::int64_t height,
                                                           std::int64_t width) const;

  FitOptions options_;
  mutable std::mutex mutex_;
  /// By height and width of the pictures they take.
  mutable std::map<std::pair<std::int64_t, std::int64_t>, std::shared_ptr<const Resizer>> resizers_;
};

}  // namespace gondola
