#include "data/mapped_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <vector>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14
#endif

namespace gondola {
namespace {

constexpr std::int64_t kLargePageBytes = std::int64_t{2} << 20;

/// Whether a fault under MADV_RANDOM reads one large page of a mapping that is to have such, where
/// it else reads what comes after it as well, which another thread fetches or nobody wants yet.
/// Elsewhere it would read a small page at a time. (do_sync_mmap_readahead of the Linux kernel.)
bool random_advice_means_one_large_page() {
  constexpr std::int64_t kSmallPageBytes = 4096;
  ::utsname system{};
  int major = 0, minor = 0;
  return ::sysconf(_SC_PAGESIZE) == kSmallPageBytes && ::uname(&system) == 0 &&
         std::sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
         (major > 5 || (major == 5 && minor >= 18));
}

}  // namespace

struct MappedFile::Fetches {
  std::mutex mutex;
  int under_way = 0;
};

/// While one lives, what is fetched comes in large pages. The advice is for the whole mapping,
/// since parts with advice of their own would count as so many mappings; and it does not stay,
/// since pages that are seen through a mapping under MADV_RANDOM are the first that the system
/// gives up.
class MappedFile::LargePages {
 public:
  explicit LargePages(const MappedFile& file) : file_(file) {
    const std::lock_guard lock(file.fetches_->mutex);
    if (file.fetches_->under_way++ > 0) return;
#ifdef MADV_HUGEPAGE
    static const bool random_helps = random_advice_means_one_large_page();
    if (::madvise(file.address_, file.mapped_bytes_, MADV_HUGEPAGE) == 0 && random_helps) {
      (void)::madvise(file.address_, file.mapped_bytes_, MADV_RANDOM);
    }
#endif
  }
  ~LargePages() {
    const std::lock_guard lock(file_.fetches_->mutex);
    if (--file_.fetches_->under_way == 0) {
      (void)::madvise(file_.address_, file_.mapped_bytes_, MADV_NORMAL);
    }
  }
  LargePages(const LargePages&) = delete;
  LargePages& operator=(const LargePages&) = delete;

 private:
  const MappedFile& file_;
};

MappedFile::MappedFile() = default;

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
  fetches_ = std::make_unique<Fetches>();
  address_ = address;
  mapped_bytes_ = mapped;
  first_byte_ = begin;
  struct ::stat status {};
  may_ask_ =
      ::geteuid() == 0 || (::fstat(file.get(), &status) == 0 && status.st_uid == ::geteuid());
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

std::span<std::byte> MappedFile::pages_of(std::int64_t begin, std::int64_t bytes) const {
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  const std::int64_t first = std::max(first_byte_, begin / page * page);
  const std::int64_t end =
      std::min(first_byte_ + static_cast<std::int64_t>(mapped_bytes_), begin + bytes);
  if (end <= first) return {};
  return {static_cast<std::byte*>(address_) + (first - first_byte_),
          static_cast<std::size_t>(end - first)};
}

bool MappedFile::holds(std::int64_t begin, std::int64_t bytes) const {
  if (!may_ask_) return false;
  // A few at a time: of what is not held the first ones say so.
  constexpr std::size_t kPagesAtOnce = 256;
  unsigned char flags[kPagesAtOnce];
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (auto pages = pages_of(begin, bytes); !pages.empty();) {
    const std::size_t length = std::min(pages.size(), kPagesAtOnce * page);
    if (::mincore(pages.data(), length, flags) != 0 ||
        !std::all_of(flags, flags + (length + page - 1) / page,
                     [](unsigned char flag) { return (flag & 1U) != 0; })) {
      return false;
    }
    pages = pages.subspan(length);
  }
  return true;
}

bool MappedFile::fetch(std::int64_t begin, std::int64_t bytes) const {
  const auto pages = pages_of(begin, bytes);
  if (pages.empty()) return false;
  const auto populate = [&] {
    return ::madvise(pages.data(), pages.size(), MADV_POPULATE_READ) == 0;
  };
  if (bytes < kLargePageBytes) return populate();
  const LargePages advice(*this);
  return populate();
}

}  // namespace gondola
