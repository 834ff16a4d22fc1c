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

  explicit ProcessLink(FileDescriptor socket) : socket_(std::move(socket)) {}

  /// @throws Closed
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
  /// A vector or string of such values, after their number.
  template <typename List>
  void put_list(const List& list) {
    put(list.size());
    send(list.data(), list.size() * sizeof(list[0]));
  }
  template <typename List>
  [[nodiscard]] List get_list() {
    List list;
    list.resize(get<std::size_t>());
    receive(list.data(), list.size() * sizeof(list[0]));
    return list;
  }

 private:
  FileDescriptor socket_;
};

/// A copy of this process (fork) that does what may crash, and answers over a link. An Error that
/// the work throws there is thrown here by answer(). REQUIRES, where it is made, that no other
/// thread is inside a library that the work uses. It ends with this object, or when this process
/// ends.
class HelperProcess {
 public:
  /// Before each answer the work calls begin_answer(). @throws IoError where there is no process
  explicit HelperProcess(const std::function<void(ProcessLink&)>& work);
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;
  ~HelperProcess();

  /// In the helper: what follows on the link is an answer, and no error.
  static void begin_answer(ProcessLink& link);

  /// Sends a request with `ask`, then takes the answer with `take`.
  /// @param name what the helper reads, for messages
  /// @throws the helper's Error; DataError where it crashed
  void answer(const std::string& name, const std::function<void(ProcessLink&)>& ask,
              const std::function<void(ProcessLink&)>& take);

 private:
  /// Waits for the helper; its status as of waitpid.
  int wait() noexcept;

  pid_t process_ = -1;
  ProcessLink link_{FileDescriptor()};
};

}  // namespace gondola
