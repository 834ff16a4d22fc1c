#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

namespace gondola {

/// 64-bit XXH3 of bytes given piece by piece: the checksum of what a dataset file holds.
class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(const Xxh3&) = delete;
  Xxh3& operator=(const Xxh3&) = delete;

  void update(const void* bytes, std::size_t count);
  [[nodiscard]] std::uint64_t value() const;
  /// 16 lower-case hexadecimal digits.
  [[nodiscard]] std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 of bytes given piece by piece: names the source files of an import.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(const void* bytes, std::size_t count);
  /// 64 lower-case hexadecimal digits; ends the sum and begins another.
  [[nodiscard]] std::string finish_hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 of a file, as `sha256sum` prints it. @throws MissingInputError, IoError (also where it
/// was stopped)
[[nodiscard]] std::string sha256_of_file(const std::string& path, const std::stop_token& stop = {});

}  // namespace gondola
