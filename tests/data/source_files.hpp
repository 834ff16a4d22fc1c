#pragma once

#include <zlib.h>

#include <map>
#include <string>
#include <vector>

#include "data/importers/import_source.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {

/// All images of one split that a source delivers, decoded, in order of their index. Each must come
/// once, and all that the listing announces.
inline std::vector<PlanarImage> images_of(ImportSource& source, Split split) {
  std::map<std::int64_t, PlanarImage> images;
  source.deliver([&](ImportPlace place) { return place.split == split; },
                 [&](RawImage raw) {
                   EXPECT_EQ(raw.place.split, split);
                   load(raw);
                   EXPECT_TRUE(images.emplace(raw.place.index, source.decode(raw)).second)
                       << raw.name << " came twice";
                 });
  EXPECT_EQ(static_cast<std::int64_t>(images.size()), source.listing().of(split).images);
  std::vector<PlanarImage> ordered;
  for (auto& [index, image] : images) {
    EXPECT_EQ(index, static_cast<std::int64_t>(ordered.size()));
    ordered.push_back(std::move(image));
  }
  return ordered;
}

inline std::string text_of(const std::vector<std::uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

inline std::string gzipped(const std::string& bytes) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;
  deflateInit2(&stream, 6, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, bytes.size()) + 32, '\0');
  std::string copy = bytes;
  stream.next_in = reinterpret_cast<Bytef*>(copy.data());
  stream.avail_in = static_cast<uInt>(copy.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

inline std::string little_endian(std::uint32_t value) {
  std::string bytes;
  for (const int shift : {0, 8, 16, 24}) bytes += static_cast<char>(value >> shift);
  return bytes;
}

/// A matrix in LeCun's binary format, as NORB is published.
inline std::string norb_matrix(std::uint32_t magic, const std::vector<std::uint32_t>& sizes,
                               const std::string& values) {
  std::string bytes =
      little_endian(magic) + little_endian(static_cast<std::uint32_t>(sizes.size()));
  for (const auto size : sizes) bytes += little_endian(size);
  for (std::size_t i = sizes.size(); i < 3; ++i) bytes += little_endian(1);
  return bytes + values;
}

inline std::string norb_images(std::uint32_t pairs, std::uint32_t height, std::uint32_t width) {
  return norb_matrix(0x1E3D4C55, {pairs, 2, height, width},
                     text_of(test_images(0, pairs, 2 * height * width)));
}

inline std::string norb_labels(const std::vector<std::uint32_t>& labels) {
  std::string values;
  for (const auto label : labels) values += little_endian(label);
  return norb_matrix(0x1E3D4C54, {static_cast<std::uint32_t>(labels.size())}, values);
}

}  // namespace gondola
