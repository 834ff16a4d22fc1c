#pragma once

#include <filesystem>
#include <functional>
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
  /// A file in the oldest format of HDF5, whose metadata has no checksums: 20 images 8x8 in chunks
  /// of 3, and labels in chunks of 7.
  std::string make_old(const std::string& name) const {
    {
      const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
      H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18);
      const hdf5::Handle file(
          H5Fcreate(in_folder(name).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
      const auto make = [&](const char* path, hid_t type, const std::vector<hsize_t>& shape,
                            const std::vector<hsize_t>& chunk, const auto& values) {
        const int rank = static_cast<int>(shape.size());
        const hdf5::Handle space(H5Screate_simple(rank, shape.data(), nullptr), H5Sclose);
        const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
        H5Pset_chunk(creation.get(), rank, chunk.data());
        const hdf5::Handle dataset(H5Dcreate2(file.get(), path, type, space.get(), H5P_DEFAULT,
                                              creation.get(), H5P_DEFAULT),
                                   H5Dclose);
        H5Dwrite(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
      };
      make("images", H5T_NATIVE_UINT8, {20, 8, 8}, {3, 8, 8}, test_images(0, 20, 64));
      make("labels", H5T_NATIVE_INT64, {20, 1}, {7, 1}, test_labels(0, 20));
    }
    return in_folder(name);
  }
  /// Lets `read` have 60 damaged copies of a file, each as damaged.h5, and counts the errors of
  /// this project that it throws.
  [[nodiscard]] int refusals_of_damage(
      const std::string& path, const std::function<void(const std::string& path)>& read) const {
    const std::string whole = read_bytes(path);
    std::uint64_t state = 1;
    const auto draw = [&state](std::size_t below) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      return static_cast<std::size_t>(state >> 33) % below;
    };
    int refused = 0;
    for (int trial = 0; trial < 60; ++trial) {
      std::string damaged = whole;
      for (int i = 0; i < 8; ++i) damaged[draw(damaged.size())] ^= static_cast<char>(1 + draw(255));
      write_bytes("damaged.h5", damaged);
      try {
        read(in_folder("damaged.h5"));
      } catch (const Error&) {
        ++refused;
      }
    }
    return refused;
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
