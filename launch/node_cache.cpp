#include "launch/node_cache.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "configs/errors.hpp"
#include "data/available_memory.hpp"
#include "data/batch_loader.hpp"
#include "data/image_cache.hpp"
#include "launch/together.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

std::string gigabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g GB", static_cast<double>(bytes) / 1e9);
  return text;
}

/// The least that any machine has left, and the slowest storage that any rank reads from.
struct WorstOfRanks {
  std::int64_t available_bytes = 0;
  ImageStorage storage = ImageStorage::kMade;
};

WorstOfRanks worst_of_ranks(ImageStorage storage, Communicator& control) {
  const auto mine =
      torch::tensor({available_memory_bytes(), static_cast<std::int64_t>(storage)}, torch::kInt64);
  const auto all = control.all_gather(mine);  // [W, 2]
  return {.available_bytes = all.select(1, 0).min().item<std::int64_t>(),
          .storage = static_cast<ImageStorage>(all.select(1, 1).max().item<std::int64_t>())};
}

}  // namespace

CacheChoice choose_cache(CacheKind wanted, const ImageSource& images, const ImageSource* targets,
                         Communicator& control) {
  auto slowest = images.storage();
  auto bytes = ImageCache::bytes_of(images);
  if (targets != nullptr) {
    slowest = std::max(slowest, targets->storage());
    bytes += ImageCache::bytes_of(*targets);
  }
  const auto [available, storage] = worst_of_ranks(slowest, control);
  const auto sizes = gigabytes(bytes) + " a machine, of " + gigabytes(available) + " available";
  if (storage == ImageStorage::kMade) return {CacheKind::kNone, "the images are made, not read"};
  if (wanted == CacheKind::kHost) {
    if (bytes > available) {
      throw ConfigError("data.cache = host takes " + gigabytes(bytes) +
                        " of memory on each machine, of which one has " + gigabytes(available) +
                        " left: use data.cache = none, or machines with more memory");
    }
    return {wanted, sizes};
  }
  if (wanted != CacheKind::kAuto) return {wanted, "as the options say"};
  if (storage == ImageStorage::kLocalBytes) {
    return {CacheKind::kNone, "auto: of plain bytes on a local disk the page cache keeps one copy"};
  }
  const std::string where = storage == ImageStorage::kPacked ? "read through HDF5" : "on a network";
  if (bytes <= available / 2) return {CacheKind::kHost, "auto: " + where + ", " + sizes};
  return {CacheKind::kNone, "auto: " + where + ", but " + sizes};
}

std::unique_ptr<ImageSource> cache_on_node(std::unique_ptr<ImageSource> images,
                                           const MpiSession& mpi, Communicator& control,
                                           CollectiveProgress& progress) {
  const auto bytes = ImageCache::bytes_of(*images);
  MpiCommunicator node(mpi.node(), progress);
  SharedMemory memory;
  std::array<char, 256> place{};
  run_together(control, [&] {
    if (node.rank() != 0) return;
    memory = SharedMemory::create(bytes);
    memory.place().copy(place.data(), place.size() - 1);
  });
  auto as_tensor =
      torch::from_blob(place.data(), {static_cast<std::int64_t>(place.size())}, torch::kUInt8);
  node.broadcast(as_tensor, 0);
  run_together(control, [&] {
    if (node.rank() != 0) memory = SharedMemory::open(place.data(), bytes);
  });

  auto cache = std::make_unique<ImageCache>(std::move(images), std::move(memory));
  const auto share = slice_of(cache->images(), node.rank(), node.size());
  constexpr double kSlowestBytesPerSecond = 20e6;
  progress.allow_extra_seconds(60 + static_cast<double>(bytes) / kSlowestBytesPerSecond);
  run_together(control, [&] { cache->fill(share.begin, share.size()); });
  progress.allow_extra_seconds(0);
  cache->finish();
  node.close();
  return cache;
}

}  // namespace gondola
