#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/hdf5_handle.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {

/// How a dataset is laid out.
struct Stored {
  std::string path = "images";
  std::vector<hsize_t> shape = {};
  hid_t type = H5T_NATIVE_UINT8;
  std::vector<hsize_t> chunk = {};  ///< Empty: contiguous.
};

/// A test that writes HDF5 files as other programs do.
class ForeignFiles : public DataTest {
 protected:
  /// Writes values into a dataset of a new or existing file.
  void store(const std::string& name, const Stored& stored,
             const std::vector<double>& values) const {
    const auto file = std::filesystem::exists(in_folder(name))
                          ? hdf5::open_file_for_writing(in_folder(name))
                          : hdf5::create_file(in_folder(name));
    const hdf5::Handle space(
        H5Screate_simple(static_cast<int>(stored.shape.size()), stored.shape.data(), nullptr),
        H5Sclose);
    const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const hdf5::Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(links.get(), 1);
    if (!stored.chunk.empty()) {
      H5Pset_chunk(creation.get(), static_cast<int>(stored.chunk.size()), stored.chunk.data());
      H5Pset_shuffle(creation.get());
      H5Pset_deflate(creation.get(), 4);
    }
    const hdf5::Handle dataset(H5Dcreate2(file.get(), stored.path.c_str(), stored.type, space.get(),
                                          links.get(), creation.get(), H5P_DEFAULT),
                               H5Dclose);
    if (!values.empty()) {
      EXPECT_GE(
          H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
          0);
    }
  }
  /// test_byte of N images of C x H x W, laid as [N, C, H, W] or [N, H, W, C], times `scale`.
  [[nodiscard]] static std::vector<double> values(std::int64_t n, std::int64_t c, std::int64_t h,
                                                  std::int64_t w, bool channels_last,
                                                  double scale = 1.0) {
    std::vector<double> all;
    for (std::int64_t id = 0; id < n; ++id) {
      for (std::int64_t i = 0; i < c * h * w; ++i) {
        const std::int64_t from = channels_last ? i % c * h * w + i / c : i;
        all.push_back(test_byte(id, from) * scale);
      }
    }
    return all;
  }
};

}  // namespace gondola
