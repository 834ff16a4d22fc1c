#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gondola::golden {

/// One golden HDF5 file, read whole: datasets by path ("params/siren.layer0.weight") and root
/// attributes.
class GoldenFile {
 public:
  /// @throws MissingInputError, DataError
  explicit GoldenFile(const std::string& path);

  [[nodiscard]] bool has(const std::string& dataset) const { return tensors_.contains(dataset); }
  /// float64, or int64 for integer datasets. @throws DataError naming the dataset.
  [[nodiscard]] torch::Tensor tensor(const std::string& dataset) const;
  /// Names of the datasets directly or deeper in `group`, without the group's name.
  [[nodiscard]] std::vector<std::string> names_in(const std::string& group) const;

  [[nodiscard]] double number(const std::string& attribute, double fallback) const;
  [[nodiscard]] double number(const std::string& attribute) const;
  [[nodiscard]] std::int64_t integer(const std::string& attribute, std::int64_t fallback) const;
  [[nodiscard]] std::string text(const std::string& attribute) const;  ///< "" where absent.

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::map<std::string, torch::Tensor> tensors_;
  std::map<std::string, double> numbers_;
  std::map<std::string, std::string> texts_;
};

}  // namespace gondola::golden
