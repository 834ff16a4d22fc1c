#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace gondola {

/// Writes a PNG of 8 bits a channel: `pixels` [height, width, channels] interleaved, channels 1
/// (grey) or 3 (RGB). A reader sees the whole picture or none: written beside `path`, then renamed.
/// REQUIRES positive sizes that match pixels.size(). @throws IoError
void write_png(const std::filesystem::path& path, std::int64_t width, std::int64_t height,
               std::int64_t channels, std::span<const std::uint8_t> pixels);

}  // namespace gondola
