#include <turbojpeg.h>

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "data/images/decode_formats.hpp"

namespace gondola {
namespace {

struct Destroy {
  void operator()(void* handle) const { ::tjDestroy(handle); }
};

/// The decompressor of this thread.
std::unique_ptr<void, Destroy>& decompressor() {
  thread_local std::unique_ptr<void, Destroy> handle;
  if (!handle) {
    handle.reset(::tjInitDecompress());
  }
  if (!handle) {
    throw std::bad_alloc();
  }
  return handle;
}

/// Whether the frame is coded arithmetically: hardly ever met, and a few bytes of it may stand for
/// any number of pixels.
bool is_arithmetic(std::span<const std::uint8_t> bytes) {
  std::size_t at = 2;
  while (at + 4 <= bytes.size()) {
    if (bytes[at] != 0xFF || bytes[at + 1] == 0xFF) {
      ++at;  // filling
      continue;
    }
    const int marker = bytes[at + 1];
    constexpr int kFirstFrame = 0xC0, kLastFrame = 0xCF, kFirstArithmetic = 0xC9;
    constexpr int kTables = 0xC4, kReserved = 0xC8, kConditioning = 0xCC, kScan = 0xDA;
    const bool frame = marker >= kFirstFrame && marker <= kLastFrame && marker != kTables &&
                       marker != kReserved && marker != kConditioning;
    if (frame || marker == kScan) {
      return frame && marker >= kFirstArithmetic;
    }
    at += 2 + static_cast<std::size_t>(bytes[at + 2] << 8 | bytes[at + 3]);
  }
  return false;
}

[[noreturn]] void refuse_damage(const std::string& name) {
  const std::string problem = ::tjGetErrorStr2(decompressor().get());
  // After an error in a header the library goes on in the middle of that header: a decompressor
  // that failed is not used again.
  decompressor().reset();
  refuse_image(name, "is a damaged or unusable JPEG (" + problem + ")");
}

}  // namespace

PlanarImage decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name,
                        const ChooseWindow& choose) {
  tjhandle handle = decompressor().get();
  int width = 0, height = 0, subsampling = -1, colours = -1;
  const auto length = static_cast<unsigned long>(bytes.size());
  // Rare kinds of subsampling, which have no number here, are an error of this call only.
  const bool failed = ::tjDecompressHeader3(handle, bytes.data(), length, &width, &height,
                                            &subsampling, &colours) != 0;
  if (failed && (width < 1 || height < 1 || colours < 0)) {
    refuse_damage(name);
  }
  if (!failed && width < 1) {
    refuse_image(name, "is a JPEG of tables without an image");
  }
  if (colours == TJCS_CMYK || colours == TJCS_YCCK) {
    refuse_image(name, "is a JPEG of the inks CMYK, not of red, green and blue");
  }
  if (is_arithmetic(bytes)) {
    refuse_image(name, "is a JPEG with arithmetic coding, which is not read");
  }

  const bool grey = colours == TJCS_GRAY;
  // An 8x8 block takes one bit at least, and may stand for 4x4 blocks where it is subsampled; but
  // one of the colours is not.
  constexpr double kLeastBits = 1.0 / 64;
  require_size(grey ? 1 : 3, height, width, kLeastBits, bytes.size(), name);
  const Window window = choose ? choose(height, width)
                               : Window{.top = 0, .left = 0, .height = height, .width = width};
  const auto bytes_a_pixel = static_cast<std::size_t>(grey ? 1 : 4);
  thread_local std::vector<std::uint8_t> unpacked;
  unpacked.resize(bytes_a_pixel * static_cast<std::size_t>(height) *
                  static_cast<std::size_t>(width));
  // What the library only warns of has left a part of the picture grey.
  const int flags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  if (::tjDecompress2(handle, bytes.data(), length, unpacked.data(), width, /*pitch=*/0, height,
                      grey ? TJPF_GRAY : TJPF_RGBX, flags) != 0) {
    refuse_damage(name);
  }
  PlanarImage image{.channels = grey ? 1 : 3, .height = window.height, .width = window.width};
  image.pixels.resize(static_cast<std::size_t>(image.channels * image.height * image.width));
  const std::uint8_t* const first =
      unpacked.data() + bytes_a_pixel * static_cast<std::size_t>(window.top * width + window.left);
  if (!grey) {
    split_planes(first, width, image);
    return image;
  }
  for (std::int64_t row = 0; row < window.height; ++row) {
    std::copy_n(first + row * width, window.width, image.pixels.data() + row * window.width);
  }
  return image;
}

}  // namespace gondola
