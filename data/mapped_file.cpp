#include "data/mapped_file.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace gondola {

MappedFile::MappedFile(const FileDescriptor& file, std::int64_t offset,
                       std::int64_t length) noexcept {
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  const std::int64_t begin = offset / page * page;
  const auto lead = static_cast<std::size_t>(offset - begin);
  const std::size_t mapped = lead + static_cast<std::size_t>(length);
  void* const address = ::mmap(nullptr, mapped, PROT_READ, MAP_SHARED, file.get(), begin);
  if (address == MAP_FAILED) {
    return;
  }
  address_ = address;
  mapped_bytes_ = mapped;
  bytes_ = {static_cast<const std::uint8_t*>(address) + lead, static_cast<std::size_t>(length)};
}

MappedFile::~MappedFile() {
  if (address_ != nullptr) {
    ::munmap(address_, mapped_bytes_);
  }
}

double MappedFile::resident_part() const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t pages = (mapped_bytes_ + page - 1) / page;
  constexpr std::size_t kSamples = 64, kPagesOfASample = 256;
  const std::size_t samples = std::min(kSamples, (pages + kPagesOfASample - 1) / kPagesOfASample);
  std::size_t seen = 0, resident = 0;
  std::vector<unsigned char> flags(kPagesOfASample);
  for (std::size_t i = 0; i < samples; ++i) {
    const std::size_t first = pages * i / samples;
    const std::size_t count = std::min(kPagesOfASample, pages - first);
    if (::mincore(static_cast<std::byte*>(address_) + first * page, count * page, flags.data()) !=
        0) {
      return 0;
    }
    seen += count;
    resident += static_cast<std::size_t>(
        std::count_if(flags.begin(), flags.begin() + static_cast<std::ptrdiff_t>(count),
                      [](unsigned char flag) { return (flag & 1U) != 0; }));
  }
  return seen == 0 ? 0 : static_cast<double>(resident) / static_cast<double>(seen);
}

}  // namespace gondola
