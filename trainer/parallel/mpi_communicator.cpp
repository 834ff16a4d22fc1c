#include "trainer/parallel/mpi_communicator.hpp"

#include <torch/types.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "trainer/parallel/mpi_check.hpp"
#include "trainer/parallel/mpi_shares.hpp"
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
    : progress_(progress), options_(options) {
  const CollectiveScope scope(progress_, "communicator");
  mpi_check(MPI_Comm_dup(parent, &comm_), "MPI_Comm_dup");
  mpi_check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  mpi_check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  nodes_ = std::make_unique<MpiNodes>(comm_, options_.ranks_a_node);
  started_ = std::make_unique<MpiStartedSums>(*nodes_, progress_);
}

void MpiCommunicator::close() {
  const CollectiveScope scope(progress_, "close");
  started_->close();
  mpi_check(MPI_Comm_free(&comm_), "MPI_Comm_free");
}

template <typename Value>
void MpiCommunicator::add_small(Value* values, std::int64_t count) {
  std::vector<Value> all(static_cast<std::size_t>(size_ * count));  // [W, count]
  const int n = static_cast<int>(count);
  mpi_check(MPI_Allgather(values, n, mpi_type<Value>(), all.data(), n, mpi_type<Value>(), comm_),
            "MPI_Allgather");
  const auto add_to = [&](Value* sum, const Value* more) {
    for (std::int64_t i = 0; i < count; ++i) sum[i] += more[i];
  };
  Value* sum = nullptr;
  for (const auto& group : nodes_->groups) {
    Value* const of_group = all.data() + group.front() * count;
    for (std::size_t i = 1; i < group.size(); ++i) add_to(of_group, all.data() + group[i] * count);
    if (sum == nullptr) {
      sum = of_group;
    } else {
      add_to(sum, of_group);
    }
  }
  std::copy_n(sum, count, values);
}

template <typename Value>
void MpiCommunicator::add_in_few_messages(const torch::Tensor& values) {
  const MpiShares shares(values.numel(), rank_, size_);
  const auto type = mpi_type<Value>();
  const auto sum = torch::empty({shares.own()}, values.options());
  mpi_check(MPI_Reduce_scatter(values.const_data_ptr(), sum.mutable_data_ptr(),
                               shares.counts.data(), type, MPI_SUM, comm_),
            "MPI_Reduce_scatter");
  mpi_check(MPI_Allgatherv(sum.const_data_ptr(), shares.own(), type, values.mutable_data_ptr(),
                           shares.counts.data(), shares.starts.data(), type, comm_),
            "MPI_Allgatherv");
}

template <typename Value>
void MpiCommunicator::add_floating(torch::Tensor& tensor) {
  const bool gathers = bytes_of(tensor) * size_ <= options_.gather_bytes;
  const auto values = tensor.detach().view({-1});
  if (!gathers && size_ < options_.few_messages_from) {
    for_pieces(values.numel(), options_.largest_count, [&](std::int64_t first, int count) {
      started_->start(values.narrow(0, first, count), comm_, "all_reduce_sum")->wait();
    });
    return;
  }
  const CollectiveScope scope(progress_, "all_reduce_sum", bytes_of(tensor));
  if (gathers) {
    add_small(values.mutable_data_ptr<Value>(), values.numel());
    return;
  }
  for_pieces(values.numel(), options_.largest_count, [&](std::int64_t first, int count) {
    add_in_few_messages<Value>(values.narrow(0, first, count));
  });
}

void MpiCommunicator::add_integers(torch::Tensor& tensor) {
  const CollectiveScope scope(progress_, "all_reduce_sum", bytes_of(tensor));
  auto* const values = tensor.mutable_data_ptr<std::int64_t>();
  for_pieces(tensor.numel(), options_.largest_count, [&](std::int64_t first, int count) {
    mpi_check(MPI_Allreduce(MPI_IN_PLACE, values + first, count, MPI_INT64_T, MPI_SUM, comm_),
              "MPI_Allreduce");
  });
}

void MpiCommunicator::all_reduce_sum(torch::Tensor& tensor) {
  require_cpu(tensor);
  switch (tensor.scalar_type()) {
    case torch::kFloat32:
      add_floating<float>(tensor);
      return;
    case torch::kFloat64:
      add_floating<double>(tensor);
      return;
    case torch::kInt64:
      add_integers(tensor);
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
  return started_->start(tensor, comm_, "start_all_reduce_sum");
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
