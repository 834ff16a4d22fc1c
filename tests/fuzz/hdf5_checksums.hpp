#pragma once

#include <cstdint>
#include <string>

namespace gondola {

/// Jenkins' lookup3 (hashlittle, from 0), which HDF5 guards its metadata with.
inline std::uint32_t lookup3(const unsigned char* bytes, std::size_t count) {
  const auto rotated = [](std::uint32_t x, int by) { return x << by | x >> (32 - by); };
  std::uint32_t a = 0xDEADBEEF + static_cast<std::uint32_t>(count), b = a, c = a;
  const auto add = [&](std::size_t up_to) {
    std::uint32_t* words[] = {&a, &b, &c};
    for (std::size_t i = 0; i < up_to; ++i) {
      *words[i / 4] += static_cast<std::uint32_t>(bytes[i]) << (8 * (i % 4));
    }
  };
  for (; count > 12; count -= 12, bytes += 12) {
    add(12);
    a -= c, a ^= rotated(c, 4), c += b;
    b -= a, b ^= rotated(a, 6), a += c;
    c -= b, c ^= rotated(b, 8), b += a;
    a -= c, a ^= rotated(c, 16), c += b;
    b -= a, b ^= rotated(a, 19), a += c;
    c -= b, c ^= rotated(b, 4), b += a;
  }
  if (count == 0) return c;
  add(count);
  c ^= b, c -= rotated(b, 14);
  a ^= c, a -= rotated(c, 11);
  b ^= a, b -= rotated(a, 25);
  c ^= b, c -= rotated(b, 16);
  a ^= c, a -= rotated(c, 4);
  b ^= a, b -= rotated(a, 14);
  c ^= b, c -= rotated(b, 24);
  return c;
}

/// Makes the checksums of an HDF5 file's superblock (version 2 or 3, at its start) and of the first
/// part of each object header (version 2) right again, so that the damage is looked at.
/// @return how many were wrong
inline int mend_hdf5(std::string& bytes) {
  int mended = 0;
  const auto seal = [&](std::size_t begin, std::size_t length) {
    if (begin + length + 4 > bytes.size()) return;
    const auto sum = lookup3(reinterpret_cast<const unsigned char*>(bytes.data()) + begin, length);
    std::string stored;
    for (int i = 0; i < 4; ++i) stored += static_cast<char>(sum >> (8 * i));
    if (bytes.compare(begin + length, 4, stored) == 0) return;
    bytes.replace(begin + length, 4, stored);
    ++mended;
  };
  constexpr std::size_t kSuperblock = 44;
  seal(0, kSuperblock);
  for (auto at = bytes.find("OHDR"); at != std::string::npos; at = bytes.find("OHDR", at + 1)) {
    if (at + 6 > bytes.size()) break;
    const auto flags = static_cast<unsigned char>(bytes[at + 5]);
    std::size_t head = 6 + ((flags & 0x20U) != 0 ? 16U : 0U) + ((flags & 0x10U) != 0 ? 4U : 0U);
    const std::size_t width = std::size_t{1} << (flags & 3U);
    if (at + head + width > bytes.size()) break;
    std::size_t length = 0;
    for (std::size_t i = width; i-- > 0;) {
      length = length << 8 | static_cast<unsigned char>(bytes[at + head + i]);
    }
    if (length > bytes.size()) continue;
    seal(at, head + width + length);
  }
  return mended;
}

}  // namespace gondola
