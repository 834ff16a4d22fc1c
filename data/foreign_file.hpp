#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/hdf5_handle.hpp"

namespace gondola {

/// Paths of the datasets in an HDF5 file of another program that are its training and test images,
/// by Split; empty where there are none: /train/images and /test/images where either is there, else
/// the only dataset of numbers with 3 or 4 dimensions, as training images.
/// @throws DataError where there is none, ConfigError where several could be meant
[[nodiscard]] std::array<std::string, 2> find_foreign_images(hid_t file);

/// [count] from `labels` or `label`, whole numbers of any type, in the group of the dataset
/// `images`; empty where there are none. @throws DataError where their number is another
[[nodiscard]] std::vector<std::int64_t> read_foreign_labels(hid_t file, const std::string& images,
                                                            std::int64_t count);

}  // namespace gondola
