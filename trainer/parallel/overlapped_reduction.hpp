#pragma once

#include <torch/types.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "trainer/parallel/communicator.hpp"
#include "trainer/parallel/gradient_reducer.hpp"
#include "trainer/phase_timer.hpp"

namespace gondola {

/// The reduction of a gradient in two parts. Where all images share their pass through the origin,
///
///     dL/dtheta = outer part (through the decoder, latents held) + origin part (through the
///                 latents, given G = dL/dz),
///
/// and the origin part depends on the batch through a few sums alone: with g_b = J^T r_b + c, where
/// only the residual r_b depends on the image and J and c are shared, dL/dJ = sum_b r_b G_b^T and
/// dL/dc = sum_b G_b. These are added over the ranks first; then the reduction of the outer
/// part is started, and while it is under way every rank goes back from the sums to the origin part
/// of all ranks' images, which needs no reduction any more.
///
/// One object for one backward pass. Outlives the graph that it was given to.
class OverlappedReduction {
 public:
  /// All of these must outlive this object. @param outer [P], the outer part of this rank's images
  /// once the backward pass begins; its sum over the ranks after wait().
  OverlappedReduction(Communicator& ranks, GradientReducer& reducer, PhaseTimer& timer,
                      torch::Tensor& outer)
      : ranks_(ranks), reducer_(reducer), timer_(timer), outer_(outer) {}

  /// The tensors themselves (J and c above), each needing a gradient. In the backward pass their
  /// gradients go through add_over_ranks(), in one piece; not differentiable twice.
  [[nodiscard]] std::vector<torch::Tensor> with_summed_gradients(
      const std::vector<torch::Tensor>& tensors);
  /// x itself; progress() is called in the backward pass when its gradient is there.
  torch::Tensor& between(torch::Tensor& x);

  /// Collective, called once in the backward pass. `sums`, of this rank's images, become those of
  /// all ranks; then the reduction of the outer part starts. @throws CommError
  void add_over_ranks(torch::Tensor& sums);
  /// Moves on what is under way; called now and then by what follows. Only heeded on the thread
  /// that called add_over_ranks(): MPI serves one.
  void progress();
  /// Collective. Returns when the outer part is reduced. @throws CommError
  void wait();

  /// 0-dim: the sum of what this rank gave to add_over_ranks(); finite where that is.
  [[nodiscard]] const torch::Tensor& own_sum() const { return own_sum_; }
  /// Given to all-reduces by this rank.
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  Communicator& ranks_;
  GradientReducer& reducer_;
  PhaseTimer& timer_;
  torch::Tensor& outer_;
  PendingReduction pending_;
  std::thread::id thread_;
  torch::Tensor own_sum_;
  std::int64_t bytes_ = 0;
};

}  // namespace gondola
