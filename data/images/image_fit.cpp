#include "data/images/image_fit.hpp"

#include "configs/errors.hpp"
#include "data/image_source.hpp"
#include "data/images/crop.hpp"

namespace gondola {
namespace {

const char* name_of(Filter filter) {
  switch (filter) {
    case Filter::kBox:
      return "box";
    case Filter::kBilinear:
      return "bilinear";
    case Filter::kBicubic:
      return "bicubic";
    case Filter::kLanczos:
      return "lanczos";
  }
  return "";
}

/// Luma of ITU-R 601 in 16-bit fractions, rounded: what Pillow's convert("L") gives.
PlanarImage to_grey(const PlanarImage& image) {
  const auto plane = static_cast<std::size_t>(image.height * image.width);
  PlanarImage grey{.channels = 1, .height = image.height, .width = image.width};
  grey.pixels.resize(plane);
  const std::uint8_t* red = image.pixels.data();
  for (std::size_t i = 0; i < plane; ++i) {
    grey.pixels[i] = static_cast<std::uint8_t>(
        (red[i] * 19595U + red[plane + i] * 38470U + red[2 * plane + i] * 7471U + 0x8000U) >> 16);
  }
  return grey;
}

PlanarImage to_colour(PlanarImage image) {
  const auto grey = image.pixels;
  image.pixels.insert(image.pixels.end(), grey.begin(), grey.end());
  image.pixels.insert(image.pixels.end(), grey.begin(), grey.end());
  image.channels = 3;
  return image;
}

}  // namespace

PlanarImage ImageFit::apply(PlanarImage image) const {
  require_possible(image);
  if (options_.channels != 0 && image.channels != options_.channels) {
    if (image.channels != 1 && image.channels != 3) {
      throw DataError("images of " + std::to_string(image.channels) +
                      " channels cannot be made grey or colour; leave --channels out");
    }
    image = options_.channels == 1 ? to_grey(image) : to_colour(std::move(image));
  }
  if (options_.height == 0) return image;
  if (options_.crop == FitOptions::Crop::kCenter) {
    image = crop_to_aspect(image, options_.height, options_.width);
  }
  if (image.height == options_.height && image.width == options_.width) return image;
  thread_local std::vector<std::uint8_t> fitted;  // of the last picture its memory is taken
  fitted.resize(static_cast<std::size_t>(image.channels * options_.height * options_.width));
  resizer_for(image.height, image.width)->resize(image.pixels, fitted);
  std::swap(image.pixels, fitted);
  image.height = options_.height;
  image.width = options_.width;
  return image;
}

/// Before memory is taken.
void ImageFit::require_possible(const PlanarImage& image) const {
  const std::int64_t channels = options_.channels == 0 ? image.channels : options_.channels;
  const std::int64_t height = options_.height == 0 ? image.height : options_.height;
  const std::int64_t width = options_.height == 0 ? image.width : options_.width;
  if (channels * height * width <= kMostImageBytes) return;
  throw DataError("images of " + std::to_string(channels) + "x" + std::to_string(height) + "x" +
                  std::to_string(width) + " would be made, but an image has at most " +
                  std::to_string(kMostImageBytes) + " bytes; give a smaller --size");
}

std::shared_ptr<const Resizer> ImageFit::resizer_for(std::int64_t height,
                                                     std::int64_t width) const {
  constexpr std::size_t kMostResizers = 64;  // photographs have any size
  const std::lock_guard lock(mutex_);
  auto found = resizers_.find({height, width});
  if (found == resizers_.end()) {
    if (resizers_.size() == kMostResizers) resizers_.clear();
    found = resizers_
                .emplace(std::pair(height, width),
                         std::make_shared<const Resizer>(options_.filter, height, width,
                                                         options_.height, options_.width))
                .first;
  }
  return found->second;
}

std::string ImageFit::words() const {
  std::string text;
  if (options_.channels == 1) text = "made grey";
  if (options_.channels == 3) text = "made colour";
  if (options_.height == 0) return text;
  if (!text.empty()) text += ", ";
  if (options_.crop == FitOptions::Crop::kCenter) text += "cut to the size's proportions, ";
  return text + name_of(options_.filter) + " to " + std::to_string(options_.height) + "x" +
         std::to_string(options_.width) + " (antialiased, half-pixel centres, rounded to 8 bits)";
}

}  // namespace gondola
