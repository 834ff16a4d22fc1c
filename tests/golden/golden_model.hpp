#pragma once

#include <torch/types.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "configs/run_config.hpp"
#include "tests/golden/golden_file.hpp"
#include "trainer/model.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola::golden {

/// The file asks for a model family that this program does not have.
struct UnknownMethod : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The batch of `images` that a rank takes: as uneven as it gets, the last rank half, the one
/// before half of the rest, ...
struct Slice {
  std::int64_t first = 0, count = 0;
};
[[nodiscard]] Slice uneven_slice(std::int64_t images, int rank, int world);

/// @throws UnknownMethod
[[nodiscard]] Family family_of(const GoldenFile& file);

/// A golden file's model with its weights, on one rank's slice of its batch.
class GoldenModel {
 public:
  /// @param latent_constant the gradient without the path through the latents.
  /// @throws UnknownMethod
  GoldenModel(const GoldenFile& file, torch::ScalarType dtype, Communicator& communicator,
              bool latent_constant = false, LatentPath path = LatentPath::kAuto);

  /// The file's tensor, whole, in float64.
  [[nodiscard]] torch::Tensor golden(const std::string& name) const { return file_.tensor(name); }
  /// This rank's rows of it, in the dtype of the run.
  [[nodiscard]] torch::Tensor mine(const std::string& name) const {
    return cut(golden(name)).to(dtype_);
  }
  [[nodiscard]] Decoder& decoder() { return *model_.decoder; }
  [[nodiscard]] LatentSection latent_config() const;

 protected:
  [[nodiscard]] torch::Tensor cut(const torch::Tensor& whole) const {
    return whole.narrow(0, slice_.first, slice_.count);
  }
  [[nodiscard]] torch::Tensor parameter(const std::string& name) const;

  const GoldenFile& file_;
  torch::ScalarType dtype_;
  Communicator& communicator_;
  std::int64_t batch_ = 0;
  Slice slice_;
  Family family_;
  Model model_;

 private:
  void make_model(bool latent_constant, LatentPath path);
  void load_weights();
};

}  // namespace gondola::golden
