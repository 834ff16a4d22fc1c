#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace gondola::fake_nccl {

/// A peer closed its end.
struct PeerGone : std::runtime_error {
  PeerGone() : std::runtime_error("a peer is gone") {}
};

/// Connections of the ranks of one machine, all with rank 0, over sockets of names that vanish with
/// their processes. MPI would not do: it may be called from the main thread only.
class Mesh {
 public:
  Mesh(int rank, int size);
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  /// Opens rank 0's end, to which up to 64 others may connect from now on. @return its descriptor
  static int listen_at(const std::string& name);

  /// Waits until all ranks are here. @param listener of rank 0, which it closes. Returns false
  /// where end() came first. @throws PeerGone
  bool connect(const std::string& name, int listener);
  /// From any thread: whatever waits for a peer, here and there, throws PeerGone.
  void end();

  /// Every rank's `bytes` come to rank 0, which does `combine` with them (rank, bytes) in the order
  /// of ranks, its own excepted; then `result` goes from rank 0 to all. @throws PeerGone
  void gather_and_send(const void* mine, std::size_t bytes,
                       const std::function<void(int, const char*)>& combine, void* result,
                       std::size_t result_bytes);

 private:
  [[nodiscard]] int to(int rank) const { return peers_[static_cast<std::size_t>(rank)]; }

  int rank_;
  int size_;
  std::vector<std::atomic<int>> peers_;  // 0: none; of rank 0, all; of others, rank 0 alone
  std::atomic<bool> ended_{false};
};

}  // namespace gondola::fake_nccl
