#include "trainer/parallel/mpi_started_sums.hpp"

#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "trainer/parallel/mpi_check.hpp"
#include "trainer/parallel/mpi_shares.hpp"
#include "trainer/parallel/mpi_type.hpp"

namespace gondola {

/// A group of ranks that adds up. Second halves have a communicator of their own.
struct MpiStartedSums::Level {
  MPI_Comm first_halves = MPI_COMM_NULL;
  MPI_Comm second_halves = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
};

/// One of them: a request, and what MPI reads and writes meanwhile. With L levels its stages are 0
/// (waits for its turn), 1 ... L (first halves), L + 1 ... 2 L (second halves), 2 L + 1 (ended).
class MpiStartedSums::Sum {
 public:
  Sum(const torch::Tensor& tensor, const std::vector<Level>& levels, std::uint64_t number)
      : number_(number),
        type_(tensor.scalar_type() == torch::kFloat32 ? mpi_type<float>() : mpi_type<double>()),
        levels_(levels) {
    auto values = tensor.view({-1});
    for (const auto& level : levels) {
      parts_.push_back({.values = values,
                        .shares = MpiShares(values.numel(), level.rank, level.size),
                        .received = {}});
      values = parts_.back().shares.own_of(values);
    }
  }

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] std::size_t stage() const { return stage_; }
  [[nodiscard]] bool ended() const { return stage_ > 2 * levels_.size(); }

  /// Whether what is under way has ended.
  [[nodiscard]] bool test() {
    int ended = 0;
    mpi_check(MPI_Test(&request_, &ended, MPI_STATUS_IGNORE), "MPI_Test");
    return ended != 0;
  }
  void wait() { mpi_check(MPI_Wait(&request_, MPI_STATUS_IGNORE), "MPI_Wait"); }

  /// Goes on to the next stage. REQUIRES that what was under way has ended.
  void advance() {
    const auto levels = levels_.size();
    if (stage_ > 0 && stage_ <= levels) {
      auto& part = parts_[stage_ - 1];
      part.shares.add_up(part.values, part.received);
      part.received.reset();
    }
    if (stage_ < levels) {
      start_first_half(levels_[stage_], parts_[stage_]);
    } else if (stage_ < 2 * levels) {
      const auto level = 2 * levels - stage_ - 1;
      start_second_half(levels_[level], parts_[level]);
    }
    ++stage_;
  }

 private:
  /// What is added up at one level.
  struct Part {
    torch::Tensor values;  // [n]
    MpiShares shares;
    torch::Tensor received;  // [W, own]: this rank's share of each rank
  };

  void start_first_half(const Level& level, Part& part) {
    const auto& shares = part.shares;
    part.received =
        torch::empty({level.size, shares.own()}, part.values.options().requires_grad(false));
    mpi_check(
        MPI_Ialltoallv(part.values.const_data_ptr(), shares.counts.data(), shares.starts.data(),
                       type_, part.received.mutable_data_ptr(), shares.own_counts.data(),
                       shares.rows.data(), type_, level.first_halves, &request_),
        "MPI_Ialltoallv");
  }
  void start_second_half(const Level& level, Part& part) {
    mpi_check(MPI_Iallgatherv(MPI_IN_PLACE, 0, type_, part.values.mutable_data_ptr(),
                              part.shares.counts.data(), part.shares.starts.data(), type_,
                              level.second_halves, &request_),
              "MPI_Iallgatherv");
  }

  std::uint64_t number_;
  MPI_Datatype type_;
  const std::vector<Level>& levels_;
  std::vector<Part> parts_;
  MPI_Request request_ = MPI_REQUEST_NULL;
  std::size_t stage_ = 0;
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

MpiStartedSums::MpiStartedSums(const MpiNodes& nodes, CollectiveProgress& progress)
    : nodes_(nodes), progress_(progress) {}

MpiStartedSums::~MpiStartedSums() {
  for (auto& sum : sums_) {
    progress_.leave(sum->number());
    static_cast<void>(sum.release());
  }
}

void MpiStartedSums::make_levels(MPI_Comm parent) {
  const CollectiveScope scope(progress_, "communicators");
  const auto add_level = [&](std::size_t color, std::size_t key) {
    Level level;
    mpi_check(
        MPI_Comm_split(parent, static_cast<int>(color), static_cast<int>(key), &level.first_halves),
        "MPI_Comm_split");
    mpi_check(MPI_Comm_dup(level.first_halves, &level.second_halves), "MPI_Comm_dup");
    for (const auto comm : {level.first_halves, level.second_halves}) {
      mpi_check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    }
    mpi_check(MPI_Comm_rank(level.first_halves, &level.rank), "MPI_Comm_rank");
    mpi_check(MPI_Comm_size(level.first_halves, &level.size), "MPI_Comm_size");
    levels_.push_back(level);
  };
  add_level(nodes_.group, nodes_.index);
  if (nodes_.groups.size() > 1) add_level(nodes_.index, nodes_.group);
}

std::unique_ptr<PendingSum> MpiStartedSums::start(const torch::Tensor& tensor, MPI_Comm parent,
                                                  const char* name) {
  if (levels_.empty()) make_levels(parent);
  const auto number = progress_.enter(name, static_cast<std::int64_t>(tensor.nbytes()));
  sums_.push_back(std::make_unique<Sum>(tensor, levels_, number));
  if (sums_.size() <= kUnderWay) sums_.back()->advance();
  return std::make_unique<Handle>(*this, number);
}

void MpiStartedSums::progress() {
  // No sum overtakes the one before it: a communicator's collectives have one order on all ranks.
  auto furthest = std::numeric_limits<std::size_t>::max();
  for (std::size_t i = 0; i < std::min(sums_.size(), kUnderWay); ++i) {
    auto& sum = *sums_[i];
    while (!sum.ended() && sum.stage() < furthest && sum.test()) sum.advance();
    furthest = sum.stage();
  }
  bool some_ended = false;
  while (!sums_.empty() && sums_.front()->ended()) {
    progress_.leave(sums_.front()->number());
    sums_.pop_front();
    some_ended = true;
  }
  if (some_ended) progress();  // others have their turn
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
  TORCH_CHECK(sums_.empty(), "a sum is still under way");
  for (auto& level : levels_) {
    mpi_check(MPI_Comm_free(&level.first_halves), "MPI_Comm_free");
    mpi_check(MPI_Comm_free(&level.second_halves), "MPI_Comm_free");
  }
  levels_.clear();
}

}  // namespace gondola
