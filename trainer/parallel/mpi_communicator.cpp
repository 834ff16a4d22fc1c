#include "trainer/parallel/mpi_communicator.hpp"

#include <torch/types.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "trainer/parallel/mpi_check.hpp"
#include "trainer/parallel/mpi_type.hpp"

namespace gondola {
namespace {

void require_cpu(const torch::Tensor& tensor) {
  TORCH_CHECK(tensor.is_cpu() && tensor.is_contiguous(), "MPI needs a contiguous CPU tensor, got ",
              tensor.sizes(), " on ", tensor.device());
}

std::int64_t bytes_of(const torch::Tensor& tensor) {
  return static_cast<std::int64_t>(tensor.nbytes());
}

/// Calls `piece(first, count)` for consecutive pieces of at most `largest` out of `total`.
template <typename Piece>
void for_pieces(std::int64_t total, std::int64_t largest, const Piece& piece) {
  for (std::int64_t first = 0; first < total; first += largest) {
    piece(first, static_cast<int>(std::min(largest, total - first)));
  }
}

}  // namespace

MpiCommunicator::MpiCommunicator(MPI_Comm parent, CollectiveProgress& progress,
                                 MpiCommunicatorOptions options)
    : progress_(progress), options_(options), started_(progress) {
  const CollectiveScope scope(progress_, "communicator");
  mpi_check(MPI_Comm_dup(parent, &comm_), "MPI_Comm_dup");
  mpi_check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  mpi_check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
}

void MpiCommunicator::close() {
  const CollectiveScope scope(progress_, "close");
  started_.close();
  mpi_check(MPI_Comm_free(&comm_), "MPI_Comm_free");
}

template <typename Value>
void MpiCommunicator::add_small(Value* values, std::int64_t count) {
  std::vector<Value> all(static_cast<std::size_t>(size_ * count));  // [W, count]
  const int n = static_cast<int>(count);
  mpi_check(MPI_Allgather(values, n, mpi_type<Value>(), all.data(), n, mpi_type<Value>(), comm_),
            "MPI_Allgather");
  std::copy_n(all.begin(), count, values);
  for (std::int64_t r = 1; r < size_; ++r) {
    const Value* const of_rank = all.data() + r * count;
    for (std::int64_t i = 0; i < count; ++i) values[i] += of_rank[i];
  }
}

template <typename Value>
void MpiCommunicator::add_large(Value* values, std::int64_t count) {
  std::vector<int> counts(static_cast<std::size_t>(size_));  // elements that rank r adds up
  std::vector<int> starts(static_cast<std::size_t>(size_));
  for (std::int64_t r = 0; r < size_; ++r) {
    const auto first = r * count / size_;
    starts[static_cast<std::size_t>(r)] = static_cast<int>(first);
    counts[static_cast<std::size_t>(r)] = static_cast<int>((r + 1) * count / size_ - first);
  }
  std::vector<Value> sum(static_cast<std::size_t>(counts[static_cast<std::size_t>(rank_)]));
  mpi_check(
      MPI_Reduce_scatter(values, sum.data(), counts.data(), mpi_type<Value>(), MPI_SUM, comm_),
      "MPI_Reduce_scatter");
  mpi_check(MPI_Allgatherv(sum.data(), static_cast<int>(sum.size()), mpi_type<Value>(), values,
                           counts.data(), starts.data(), mpi_type<Value>(), comm_),
            "MPI_Allgatherv");
}

template <typename Value>
void MpiCommunicator::add_floating(torch::Tensor& tensor) {
  Value* const values = tensor.mutable_data_ptr<Value>();
  if (bytes_of(tensor) * size_ <= options_.gather_bytes) {
    add_small(values, tensor.numel());
    return;
  }
  for_pieces(tensor.numel(), options_.largest_count,
             [&](std::int64_t first, int count) { add_large(values + first, count); });
}

void MpiCommunicator::all_reduce_sum(torch::Tensor& tensor) {
  require_cpu(tensor);
  const CollectiveScope scope(progress_, "all_reduce_sum", bytes_of(tensor));
  switch (tensor.scalar_type()) {
    case torch::kFloat32:
      add_floating<float>(tensor);
      return;
    case torch::kFloat64:
      add_floating<double>(tensor);
      return;
    case torch::kInt64:
      for_pieces(tensor.numel(), options_.largest_count, [&](std::int64_t first, int count) {
        mpi_check(MPI_Allreduce(MPI_IN_PLACE, tensor.mutable_data_ptr<std::int64_t>() + first,
                                count, MPI_INT64_T, MPI_SUM, comm_),
                  "MPI_Allreduce");
      });
      return;
    default:
      TORCH_CHECK(false, "all_reduce_sum takes float32, float64 or int64, got ",
                  tensor.scalar_type());
  }
}

std::unique_ptr<PendingSum> MpiCommunicator::start_all_reduce_sum(torch::Tensor& tensor) {
  require_cpu(tensor);
  if (!tensor.is_floating_point() || tensor.numel() > options_.largest_count) {
    return Communicator::start_all_reduce_sum(tensor);
  }
  return started_.start(tensor, comm_);
}

void MpiCommunicator::broadcast(torch::Tensor& tensor, int root) {
  require_cpu(tensor);
  const CollectiveScope scope(progress_, "broadcast", bytes_of(tensor));
  auto* const bytes = static_cast<char*>(tensor.mutable_data_ptr());
  for_pieces(bytes_of(tensor), options_.largest_count, [&](std::int64_t first, int count) {
    mpi_check(MPI_Bcast(bytes + first, count, MPI_BYTE, root, comm_), "MPI_Bcast");
  });
}

torch::Tensor MpiCommunicator::all_gather(const torch::Tensor& tensor) {
  require_cpu(tensor);
  const CollectiveScope scope(progress_, "all_gather", bytes_of(tensor));
  auto sizes = tensor.sizes().vec();
  sizes.insert(sizes.begin(), size_);
  auto all = torch::empty(sizes, tensor.options().requires_grad(false));  // [W, ...]
  const auto bytes = bytes_of(tensor);
  const auto* const mine = static_cast<const char*>(tensor.const_data_ptr());
  auto* const out = static_cast<char*>(all.mutable_data_ptr());
  // A piece of every rank at a time lands in `pieces` and is copied to its row.
  std::vector<char> pieces;
  const auto largest = std::max<std::int64_t>(options_.largest_count / size_, 1);
  for_pieces(bytes, largest, [&](std::int64_t first, int count) {
    pieces.resize(static_cast<std::size_t>(count) * static_cast<std::size_t>(size_));
    mpi_check(MPI_Allgather(mine + first, count, MPI_BYTE, pieces.data(), count, MPI_BYTE, comm_),
              "MPI_Allgather");
    for (std::int64_t r = 0; r < size_; ++r) {
      std::copy_n(pieces.data() + r * count, count, out + r * bytes + first);
    }
  });
  return all;
}

void MpiCommunicator::barrier() {
  const CollectiveScope scope(progress_, "barrier");
  mpi_check(MPI_Barrier(comm_), "MPI_Barrier");
}

}  // namespace gondola
