#include "trainer/latent/latent_table.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/batch_loader.hpp"
#include "trainer/latent/random_origin.hpp"

namespace gondola {

LatentTable::LatentTable(std::int64_t images, std::vector<std::int64_t> latent_shape,
                         const OptimizerSection& optimizer, double learning_rate,
                         std::uint64_t seed, const torch::TensorOptions& options,
                         Communicator* communicator)
    : images_(images),
      latent_shape_(std::move(latent_shape)),
      optimizer_(optimizer),
      learning_rate_(learning_rate),
      communicator_(communicator) {
  const auto slice = communicator == nullptr
                         ? Slice{.begin = 0, .end = images}
                         : slice_of(images, communicator->rank(), communicator->size());
  first_ = slice.begin;
  std::vector<std::int64_t> ids(static_cast<std::size_t>(slice.size()));
  std::iota(ids.begin(), ids.end(), first_);
  rows_ = random_origins(latent_shape_, ids, /*stddev=*/1, seed, "latent", /*step=*/0, options);
  first_moment_ = torch::zeros_like(rows_);
  second_moment_ = torch::zeros_like(rows_);
  updates_ = torch::zeros({slice.size()}, options);
}

std::vector<std::int64_t> LatentTable::shape_of(std::int64_t rows) const {
  auto shape = latent_shape_;
  shape.insert(shape.begin(), rows);
  return shape;
}

LatentTable::Own LatentTable::own(std::span<const std::int64_t> ids) const {
  std::vector<std::int64_t> places;
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto row = ids[i] - first_;
    if (row < 0 || row >= rows_.size(0)) continue;
    places.push_back(static_cast<std::int64_t>(i));
    rows.push_back(row);
  }
  const auto device = rows_.device();
  return {.places = torch::tensor(places, torch::kInt64).to(device),
          .rows = torch::tensor(rows, torch::kInt64).to(device)};
}

torch::Tensor LatentTable::fetch(std::span<const std::int64_t> ids) const {
  const auto mine = own(ids);
  auto latents = torch::zeros(shape_of(static_cast<std::int64_t>(ids.size())), rows_.options());
  latents.index_copy_(0, mine.places, rows_.index_select(0, mine.rows));
  if (communicator_ != nullptr) communicator_->all_reduce_sum(latents);
  return latents;
}

void LatentTable::update(std::span<const std::int64_t> ids, const torch::Tensor& gradient,
                         const torch::Tensor& skip) {
  const at::NoGradGuard no_grad;
  const auto mine = own(ids);
  const auto g = gradient.index_select(0, mine.places);
  std::vector<std::int64_t> per_row(rows_.sizes().size(), 1);
  per_row[0] = -1;
  const auto count = updates_.index_select(0, mine.rows) + 1;
  const auto first = first_moment_.index_select(0, mine.rows).lerp(g, 1 - optimizer_.beta1);
  const auto second =
      second_moment_.index_select(0, mine.rows).lerp(g.square(), 1 - optimizer_.beta2);
  const auto unbiased = [&](const torch::Tensor& moment, double beta) {
    return moment / (1 - at::pow(beta, count)).view(per_row);
  };
  const auto rows = rows_.index_select(0, mine.rows);
  const auto moved = rows - learning_rate_ * unbiased(first, optimizer_.beta1) /
                                (unbiased(second, optimizer_.beta2).sqrt() + optimizer_.epsilon);
  const auto keep = skip.to(torch::kBool);
  const auto put = [&](torch::Tensor& all, const torch::Tensor& moved_rows) {
    all.index_copy_(0, mine.rows, at::where(keep, all.index_select(0, mine.rows), moved_rows));
  };
  put(rows_, moved);
  put(first_moment_, first);
  put(second_moment_, second);
  put(updates_, count);
}

std::map<std::string, torch::Tensor> LatentTable::gather() const {
  const auto whole = [&](const torch::Tensor& shard) {
    if (communicator_ == nullptr) return shard.to(torch::kCPU).clone();
    auto shape = shard.sizes().vec();
    shape[0] = images_;
    torch::Tensor result;
    if (communicator_->rank() == 0) result = torch::empty(shape, shard.dtype());
    // In pieces of equal size, since every rank gives as much to an all-gather.
    const std::int64_t world = communicator_->size();
    const auto most = (images_ + world - 1) / world;
    constexpr std::int64_t kPiece = 1 << 16;  // rows
    for (std::int64_t begin = 0; begin < most; begin += kPiece) {
      const auto rows = std::min(kPiece, most - begin);
      shape[0] = rows;
      auto piece = torch::zeros(shape, shard.options());
      const auto there = std::clamp<std::int64_t>(shard.size(0) - begin, 0, rows);
      if (there > 0) piece.narrow(0, 0, there).copy_(shard.narrow(0, begin, there));
      const auto all = communicator_->all_gather(piece).to(torch::kCPU);  // [W, rows, ...]
      if (communicator_->rank() != 0) continue;
      for (std::int64_t rank = 0; rank < world; ++rank) {
        const auto slice = slice_of(images_, rank, world);
        const auto count = std::clamp<std::int64_t>(slice.size() - begin, 0, rows);
        if (count > 0) {
          result.narrow(0, slice.begin + begin, count).copy_(all[rank].narrow(0, 0, count));
        }
      }
    }
    return result;
  };
  std::map<std::string, torch::Tensor> state = {{"rows", whole(rows_)},
                                                {"first_moment", whole(first_moment_)},
                                                {"second_moment", whole(second_moment_)},
                                                {"updates", whole(updates_)}};
  if (communicator_ != nullptr && communicator_->rank() != 0) state.clear();
  return state;
}

void LatentTable::restore(
    const std::function<torch::Tensor(const std::string& name, at::IntArrayRef shape)>& read) {
  const at::NoGradGuard no_grad;
  const auto put = [&](torch::Tensor& shard, const std::string& name) {
    auto whole = shard.sizes().vec();
    whole[0] = images_;
    shard.copy_(read(name, whole).narrow(0, first_, shard.size(0)));
  };
  put(rows_, "rows");
  put(first_moment_, "first_moment");
  put(second_moment_, "second_moment");
  put(updates_, "updates");
}

}  // namespace gondola
