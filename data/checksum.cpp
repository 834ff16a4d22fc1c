#include "data/checksum.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "configs/errors.hpp"
#include "data/file_descriptor.hpp"

namespace gondola {
namespace {

std::string to_hex(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

struct Xxh3::State {
  State() : xxh(XXH3_createState()) {
    if (xxh == nullptr || XXH3_64bits_reset(xxh) != XXH_OK) {
      throw std::bad_alloc();
    }
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  XXH3_state_t* xxh;
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) {}
Xxh3::~Xxh3() = default;

void Xxh3::update(const void* bytes, std::size_t count) {
  if (count > 0) {
    XXH3_64bits_update(state_->xxh, bytes, count);
  }
}

std::uint64_t Xxh3::value() const { return XXH3_64bits_digest(state_->xxh); }

std::string Xxh3::hex() const {
  XXH64_canonical_t canonical;
  XXH64_canonicalFromHash(&canonical, value());
  return to_hex(canonical.digest);
}

struct Sha256::State {
  State() : context(EVP_MD_CTX_new()) {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1) {
      throw std::bad_alloc();
    }
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  EVP_MD_CTX* context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;

void Sha256::update(const void* bytes, std::size_t count) {
  EVP_DigestUpdate(state_->context, bytes, count);
}

std::string Sha256::finish_hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_DigestFinal_ex(state_->context, digest.data(), &length);
  // Without a digest's name: it takes the one it has.
  if (EVP_DigestInit_ex(state_->context, nullptr, nullptr) != 1) throw std::bad_alloc();
  return to_hex(std::span(digest).first(length));
}

std::string sha256_of_file(const std::string& path, const std::stop_token& stop) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    const int error = errno;
    if (error == ENOENT) {
      throw MissingInputError("there is no file " + path + "; check the path");
    }
    throw IoError("cannot open " + path + ": " + std::strerror(error));
  }
  Sha256 sum;
  constexpr std::size_t kBufferBytes = 1 << 18;  // stays in the cache
  const auto buffer = std::make_unique_for_overwrite<unsigned char[]>(kBufferBytes);
  ssize_t count = 0;
  while ((count = ::read(file.get(), buffer.get(), kBufferBytes)) > 0) {
    sum.update(buffer.get(), static_cast<std::size_t>(count));
    if (stop.stop_requested()) throw IoError("the reading of " + path + " was stopped");
  }
  if (count < 0) {
    throw IoError("cannot read " + path + ": " + std::strerror(errno));
  }
  return sum.finish_hex();
}

}  // namespace gondola
