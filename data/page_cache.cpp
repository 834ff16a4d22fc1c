#include "data/page_cache.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14
#endif

namespace gondola {
namespace {

/// Whether the page cache holds the mapped bytes. Of other users' files the system says that it
/// does; these count as not held. (Reads that may not wait, RWF_NOWAIT, are no way to ask: they
/// begin to fetch single small pages, where no large one has room any more.)
bool is_held(const FileDescriptor& file, void* address, std::size_t length) {
  struct ::stat status {};
  if (::fstat(file.get(), &status) != 0) return false;
  if (status.st_uid != ::geteuid() && ::geteuid() != 0) return false;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> flags((length + page - 1) / page);
  return ::mincore(address, length, flags.data()) == 0 &&
         std::all_of(flags.begin(), flags.end(),
                     [](unsigned char flag) { return (flag & 1U) != 0; });
}

/// Nothing where the system refuses to map them or cannot read them.
std::optional<FetchedBy> fetch_by_mapping(const FileDescriptor& file, std::int64_t offset_bytes,
                                          std::int64_t bytes, bool may_map) {
  constexpr std::int64_t kHugeBytes = std::int64_t{2} << 20;
  const std::int64_t lead = offset_bytes % ::sysconf(_SC_PAGESIZE);
  const auto length = static_cast<std::size_t>(lead + bytes);
  void* const address =
      ::mmap(nullptr, length, PROT_READ, MAP_SHARED, file.get(), offset_bytes - lead);
  if (address == MAP_FAILED) return std::nullopt;
  std::optional<FetchedBy> by;
  if (is_held(file, address, length)) {
    by = FetchedBy::kNothing;
  } else if (may_map) {
#ifdef MADV_HUGEPAGE
    if (bytes >= kHugeBytes) (void)::madvise(address, length, MADV_HUGEPAGE);
#endif
    if (::madvise(address, length, MADV_POPULATE_READ) == 0) by = FetchedBy::kMapping;
  }
  ::munmap(address, length);
  return by;
}

void fetch_by_reading(const FileDescriptor& file, std::int64_t offset_bytes, std::int64_t bytes) {
  constexpr std::int64_t kBufferBytes = 1 << 20;
  thread_local std::vector<char> buffer;
  buffer.resize(static_cast<std::size_t>(std::min(kBufferBytes, bytes)));
  for (const std::int64_t end = offset_bytes + bytes; offset_bytes < end;) {
    const auto part = std::min(buffer.size(), static_cast<std::size_t>(end - offset_bytes));
    const auto got = ::pread(file.get(), buffer.data(), part, offset_bytes);
    if (got <= 0) return;
    offset_bytes += got;
  }
}

}  // namespace

FetchedBy fetch_into_page_cache(const FileDescriptor& file, std::int64_t offset_bytes,
                                std::int64_t bytes, bool may_map) {
  if (bytes <= 0) return FetchedBy::kNothing;
  if (const auto by = fetch_by_mapping(file, offset_bytes, bytes, may_map)) return *by;
  fetch_by_reading(file, offset_bytes, bytes);
  return FetchedBy::kReading;
}

}  // namespace gondola
