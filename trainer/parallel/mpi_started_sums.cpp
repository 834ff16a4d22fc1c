#include "trainer/parallel/mpi_started_sums.hpp"

#include <torch/types.h>

#include <chrono>
#include <vector>

#include "trainer/parallel/mpi_check.hpp"
#include "trainer/parallel/mpi_type.hpp"

namespace gondola {

/// One of them: a request, and what MPI reads and writes meanwhile.
class MpiStartedSums::Sum {
 public:
  /// Starts the first half on `comm`.
  Sum(const torch::Tensor& tensor, MPI_Comm comm, std::uint64_t number)
      : number_(number),
        type_(tensor.scalar_type() == torch::kFloat32 ? mpi_type<float>() : mpi_type<double>()),
        tensor_(tensor.view({-1})) {
    int rank = 0;
    int size = 1;
    mpi_check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
    mpi_check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
    rank_ = static_cast<std::size_t>(rank);
    const auto count = tensor.numel();
    for (std::int64_t r = 0; r < size; ++r) {
      const auto first = r * count / size;
      starts_.push_back(static_cast<int>(first));
      counts_.push_back(static_cast<int>((r + 1) * count / size - first));
    }
    const auto own = counts_[rank_];
    own_counts_.assign(counts_.size(), own);
    for (int r = 0; r < size; ++r) rows_.push_back(r * own);
    parts_ = torch::empty({size, own}, tensor.options().requires_grad(false));
    mpi_check(MPI_Ialltoallv(tensor_.const_data_ptr(), counts_.data(), starts_.data(), type_,
                             parts_.mutable_data_ptr(), own_counts_.data(), rows_.data(), type_,
                             comm, &request_),
              "MPI_Ialltoallv");
  }

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] bool in_second_half() const { return in_second_half_; }

  /// Whether the half that is under way has ended.
  [[nodiscard]] bool test() {
    int ended = 0;
    mpi_check(MPI_Test(&request_, &ended, MPI_STATUS_IGNORE), "MPI_Test");
    return ended != 0;
  }
  void wait() { mpi_check(MPI_Wait(&request_, MPI_STATUS_IGNORE), "MPI_Wait"); }

  /// REQUIRES that the first half has ended.
  void start_second_half(MPI_Comm comm) {
    const torch::NoGradGuard no_grad;
    auto sum = tensor_.narrow(0, starts_[rank_], counts_[rank_]);
    sum.copy_(parts_[0]);
    for (std::int64_t r = 1; r < parts_.size(0); ++r) sum.add_(parts_[r]);
    in_second_half_ = true;
    mpi_check(MPI_Iallgatherv(MPI_IN_PLACE, 0, type_, tensor_.mutable_data_ptr(), counts_.data(),
                              starts_.data(), type_, comm, &request_),
              "MPI_Iallgatherv");
  }

 private:
  std::uint64_t number_;
  MPI_Datatype type_;
  std::size_t rank_ = 0;
  torch::Tensor tensor_;         // [n]
  torch::Tensor parts_;          // [W, own]: of each rank, what is added up here
  std::vector<int> counts_;      // elements that rank r adds up, [W]
  std::vector<int> starts_;      // where they begin in the tensor, [W]
  std::vector<int> own_counts_;  // this rank's count, [W]
  std::vector<int> rows_;        // where the rows of the parts begin, [W]
  MPI_Request request_ = MPI_REQUEST_NULL;
  bool in_second_half_ = false;
};

class MpiStartedSums::Handle final : public PendingSum {
 public:
  Handle(MpiStartedSums& sums, std::uint64_t number) : sums_(sums), number_(number) {}
  void progress() override { sums_.progress(); }
  void wait() override { sums_.wait_for(number_); }

 private:
  MpiStartedSums& sums_;
  std::uint64_t number_;
};

MpiStartedSums::MpiStartedSums(CollectiveProgress& progress) : progress_(progress) {}

MpiStartedSums::~MpiStartedSums() {
  for (auto& sum : sums_) {
    progress_.leave(sum->number());
    static_cast<void>(sum.release());
  }
}

std::unique_ptr<PendingSum> MpiStartedSums::start(const torch::Tensor& tensor, MPI_Comm parent) {
  if (first_halves_ == MPI_COMM_NULL) {
    const CollectiveScope scope(progress_, "communicators");
    mpi_check(MPI_Comm_dup(parent, &first_halves_), "MPI_Comm_dup");
    mpi_check(MPI_Comm_dup(parent, &second_halves_), "MPI_Comm_dup");
  }
  const auto number =
      progress_.enter("start_all_reduce_sum", static_cast<std::int64_t>(tensor.nbytes()));
  sums_.push_back(std::make_unique<Sum>(tensor, first_halves_, number));
  return std::make_unique<Handle>(*this, number);
}

void MpiStartedSums::progress() {
  for (auto& sum : sums_) {
    if (sum->in_second_half()) continue;
    if (!sum->test()) break;  // those behind it wait for their turn
    sum->start_second_half(second_halves_);
  }
  while (!sums_.empty() && sums_.front()->in_second_half() && sums_.front()->test()) {
    progress_.leave(sums_.front()->number());
    sums_.pop_front();
  }
}

void MpiStartedSums::wait_for(std::uint64_t number) {
  const auto start = CollectiveProgress::Clock::now();
  progress();
  while (!sums_.empty() && sums_.front()->number() <= number) {
    sums_.front()->wait();
    progress();
  }
  progress_.add_host_seconds(
      std::chrono::duration<double>(CollectiveProgress::Clock::now() - start).count());
}

void MpiStartedSums::close() {
  if (first_halves_ == MPI_COMM_NULL) return;
  TORCH_CHECK(sums_.empty(), "a sum is still under way");
  mpi_check(MPI_Comm_free(&first_halves_), "MPI_Comm_free");
  mpi_check(MPI_Comm_free(&second_halves_), "MPI_Comm_free");
}

}  // namespace gondola
