#include "trainer/image_shape.hpp"

#include "data/image_source.hpp"

namespace gondola {

ImageShape shape_of(const ImageSource& source) {
  return {.channels = source.channels(), .height = source.height(), .width = source.width()};
}

std::string text_of(const ImageShape& shape) {
  return std::to_string(shape.channels) + "x" + std::to_string(shape.height) + "x" +
         std::to_string(shape.width);
}

}  // namespace gondola
