#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace gondola {

/// Tensors by name, float32 or float64 on the host, contiguous.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// A safetensors file: 8 bytes with the length of a JSON header, the header, the tensors in order.
/// @param metadata strings for the header's __metadata__.
[[nodiscard]] std::vector<std::uint8_t> as_safetensors(
    const NamedTensors& tensors, const std::map<std::string, std::string>& metadata);

/// What torch.load(..., weights_only=True) reads as a dictionary of tensors.
[[nodiscard]] std::vector<std::uint8_t> as_torch_file(const NamedTensors& tensors);

/// An HDF5 file with one dataset for each tensor under its name, and the metadata as attributes of
/// the root.
[[nodiscard]] std::vector<std::uint8_t> as_hdf5(const NamedTensors& tensors,
                                                const std::map<std::string, std::string>& metadata);

}  // namespace gondola
