#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "configs/errors.hpp"
#include "data/file_descriptor.hpp"

namespace gondola {

/// One end of a connection between two processes of one program.
class ProcessLink {
 public:
  /// The other end is gone: its process has ended.
  struct Closed {};
  /// The other end has been silent, or has taken nothing, for longer than the limit.
  struct Silent {};
  /// What came cannot be meant: the other end's memory is damaged.
  struct Nonsense {};

  explicit ProcessLink(FileDescriptor socket) : socket_(std::move(socket)) {}

  /// From now on a wait of so many seconds throws Silent.
  void limit_waits(double seconds);

  /// @throws Closed, Silent
  void send(const void* bytes, std::size_t count);
  void receive(void* bytes, std::size_t count);

  template <typename T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    send(&value, sizeof(value));
  }
  template <typename T>
  [[nodiscard]] T get() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    receive(&value, sizeof(value));
    return value;
  }
  /// A vector or string of such values, after their number. @throws as receive(); Nonsense where
  /// they would take more than kMostListBytes
  template <typename List>
  void put_list(const List& list) {
    put(list.size());
    send(list.data(), list.size() * sizeof(list[0]));
  }
  template <typename List>
  [[nodiscard]] List get_list() {
    List list;
    const auto count = get<std::size_t>();
    if (count > kMostListBytes / sizeof(list[0])) throw Nonsense();
    list.resize(count);
    receive(list.data(), list.size() * sizeof(list[0]));
    return list;
  }

 private:
  static constexpr std::size_t kMostListBytes = std::size_t{1} << 32;

  FileDescriptor socket_;
};

/// A copy of this process (fork) that does what may crash, and answers over a link. An Error that
/// the work throws there is thrown here by answer(). REQUIRES, where it is made, that no other
/// thread is inside a library that the work uses, and that the thread that makes it outlives it. It
/// ends with this object, or when this process or that thread ends.
class HelperProcess {
 public:
  static constexpr double kLimitSeconds = 300;

  /// Before each answer the work calls begin_answer().
  /// @param limit_seconds of silence while an answer is awaited, after which the helper is given up
  /// @throws IoError where there is no process
  explicit HelperProcess(const std::function<void(ProcessLink&)>& work,
                         double limit_seconds = kLimitSeconds);
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;
  ~HelperProcess();

  /// In the helper: what follows on the link is an answer, and no error.
  static void begin_answer(ProcessLink& link);

  /// Sends a request with `ask`, then takes the answer with `take`.
  /// @param name what the helper reads, for messages
  /// @throws the helper's Error; DataError where it crashed, was killed, has too little memory, is
  /// silent for too long, or answers nonsense
  void answer(const std::string& name, const std::function<void(ProcessLink&)>& ask,
              const std::function<void(ProcessLink&)>& take);

 private:
  /// Waits for the helper; its status as of waitpid.
  int wait() noexcept;
  void kill() noexcept;

  double limit_seconds_;
  pid_t process_ = -1;
  ProcessLink link_{FileDescriptor()};
};

}  // namespace gondola
