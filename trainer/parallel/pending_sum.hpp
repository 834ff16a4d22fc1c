#pragma once

namespace gondola {

/// A sum over the ranks that has been started and whose tensor nobody touches until wait().
/// Destroyed without it, as where an exception unwinds, it waits for no peer.
class PendingSum {
 public:
  PendingSum() = default;
  virtual ~PendingSum() = default;
  PendingSum(const PendingSum&) = delete;
  PendingSum& operator=(const PendingSum&) = delete;

  /// Does what the host has to do for the sum to go on, without waiting; called from time to time
  /// by the thread that started it. @throws CommError
  virtual void progress() {}
  /// Collective. Once it returns, the next operation on the tensor's device sees the sum. @throws
  /// CommError
  virtual void wait() = 0;
};

}  // namespace gondola
