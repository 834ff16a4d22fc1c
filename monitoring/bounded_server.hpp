#pragma once

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <cstddef>

namespace gondola {

/// An HTTP server of which no client can take more than its share. httplib's time limits are those
/// of a single read or write: a client that sends a byte a second holds a thread for hours, and a
/// few of them keep all others out. Here a connection carries one request of at most kRequestBytes.
/// That has to be whole within 2 s and its answer be taken within 10 s, less where all threads are
/// busy and a few ms where a crowd waits or the server stops: neither threads nor file descriptors
/// run out. Who takes longer is cut off. Byte ranges are not served: one request could ask for the
/// same bytes thousands of times.
class BoundedServer : public httplib::Server {
 public:
  static constexpr std::size_t kRequestBytes = 32768;

  BoundedServer();

  /// Lets as many connections wait to be accepted as a job has ranks that may ask at once: httplib
  /// lets five, and the sixth comes again after a second. REQUIRES a bound server.
  void widen_queue();

  /// What a client may take to send its request, and then to receive the answer.
  struct Patience {
    std::chrono::milliseconds request, answer;
  };
  [[nodiscard]] Patience patience() const;  ///< As things are now.

 private:
  /// Called by httplib in a thread of its pool for each connection that it accepts.
  bool process_and_close_socket(socket_t socket) override;

  std::atomic<std::size_t> pending_{0};  ///< Connections accepted and not closed yet.
};

}  // namespace gondola
