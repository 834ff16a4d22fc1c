#include "data/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "configs/errors.hpp"

namespace gondola {
namespace {

[[noreturn]] void fail(const std::string& what, std::int64_t bytes) {
  throw IoError(what + " for " + std::to_string(bytes) +
                " bytes of images: " + std::strerror(errno) + "; use data.cache = none");
}

}  // namespace

SharedMemory::SharedMemory(FileDescriptor file, std::int64_t bytes)
    : file_(std::move(file)), bytes_(static_cast<std::size_t>(bytes)) {
  void* const address = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (address == MAP_FAILED) {
    fail("cannot map shared memory", bytes);
  }
  address_ = address;
}

SharedMemory SharedMemory::create(std::int64_t bytes) {
  FileDescriptor file(::memfd_create("gondola-images", MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), bytes) != 0) {
    fail("cannot make shared memory", bytes);
  }
  return {std::move(file), bytes};
}

SharedMemory SharedMemory::open(const std::string& place, std::int64_t bytes) {
  FileDescriptor file(::open(place.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) {
    fail("cannot open the shared memory " + place + " of another rank", bytes);
  }
  struct ::stat status {};
  if (::fstat(file.get(), &status) != 0 || status.st_size != bytes) {
    throw IoError(place + " of another rank has " + std::to_string(status.st_size) +
                  " bytes where " + std::to_string(bytes) +
                  " were expected: the ranks of this machine do not see the same processes; use "
                  "data.cache = none");
  }
  return {std::move(file), bytes};
}

SharedMemory::~SharedMemory() {
  if (address_ != nullptr) {
    ::munmap(address_, bytes_);
  }
}

std::string SharedMemory::place() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file_.get());
}

void SharedMemory::protect() noexcept { (void)::mprotect(address_, bytes_, PROT_READ); }

}  // namespace gondola
