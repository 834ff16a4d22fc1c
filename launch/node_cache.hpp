#pragma once

#include <memory>
#include <string>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"
#include "launch/mpi_session.hpp"
#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Where the images of a run are kept, the same on all ranks.
struct CacheChoice {
  CacheKind kind = CacheKind::kNone;  ///< Never kAuto.
  std::string reason;                 ///< For the plan.
};

/// Collective. What `wanted` means for these images, and their targets (or nullptr): kAuto becomes
/// kHost where they come through HDF5 or over a network and take at most half of the memory that
/// the fullest machine has left, else kNone: of plain bytes on a local disk the page cache is the
/// one copy a machine needs.
/// @param control a communicator for CPU tensors.
/// @throws ConfigError where kHost is wanted and some machine has too little memory
[[nodiscard]] CacheChoice choose_cache(CacheKind wanted, const ImageSource& images,
                                       const ImageSource* targets, Communicator& control);

/// Collective. One copy of the images in the memory of each machine: its first rank makes the
/// memory, all of its ranks read a share of the images into it.
/// @param control a communicator for CPU tensors. @throws Error on every rank alike
[[nodiscard]] std::unique_ptr<ImageSource> cache_on_node(std::unique_ptr<ImageSource> images,
                                                         const MpiSession& mpi,
                                                         Communicator& control,
                                                         CollectiveProgress& progress);

}  // namespace gondola
