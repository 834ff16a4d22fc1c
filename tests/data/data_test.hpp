#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/dataset_writer.hpp"
#include "data/hdf5_handle.hpp"
#include "data/image_source.hpp"

namespace gondola {

/// The byte at place `i` of image `id`: different for neighbours in either.
inline std::uint8_t test_byte(std::int64_t id, std::int64_t i) {
  return static_cast<std::uint8_t>((id * 131 + i * 17 + id * i * 7) % 256);
}

/// Images first..first+count-1 of `bytes` bytes each.
inline std::vector<std::uint8_t> test_images(std::int64_t first, std::int64_t count,
                                             std::int64_t bytes) {
  std::vector<std::uint8_t> images;
  for (std::int64_t id = first; id < first + count; ++id) {
    for (std::int64_t i = 0; i < bytes; ++i) images.push_back(test_byte(id, i));
  }
  return images;
}

inline std::vector<std::int64_t> test_labels(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> labels;
  for (std::int64_t id = first; id < first + count; ++id) labels.push_back(id % 10 - 3);
  return labels;
}

/// The sentence of the error of this class that `action` throws.
template <typename Expected, typename Action>
std::string complaint(Action&& action) {
  try {
    action();
  } catch (const Expected& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("an error of another class: ") + error.what();
  }
  return "no error";
}

/// A test with an empty folder of its own, removed at the end.
class DataTest : public ::testing::Test {
 protected:
  DataTest() { std::filesystem::create_directories(folder_); }
  ~DataTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string in_folder(const std::string& name) const { return folder_ / name; }

  /// A dataset file of images first..first+train-1 (and the `test` ones after them), 2x3x4 unless
  /// the plan says otherwise.
  std::string make_dataset(const std::string& name, std::int64_t train, std::int64_t test = 0,
                           std::int64_t first = 0,
                           DatasetPlan plan = {.channels = 2,
                                               .height = 3,
                                               .width = 4,
                                               .train_labels = true,
                                               .test_labels = true}) const {
    plan.name = "made for a test";
    plan.train_images = train;
    plan.test_images = test;
    DatasetWriter writer(in_folder(name), plan);
    const std::int64_t bytes = plan.channels * plan.height * plan.width;
    writer.write(Split::kTrain, 0, test_images(first, train, bytes));
    writer.write(Split::kTest, 0, test_images(first + train, test, bytes));
    writer.commit({}, test_labels(first, plan.train_labels ? train : 0),
                  test_labels(first + train, plan.test_labels ? test : 0));
    return in_folder(name);
  }

  /// A file of another program: /train/images of this type and layout, nothing else.
  std::string make_foreign(const std::string& name, std::vector<hsize_t> shape,
                           hid_t type = H5T_NATIVE_UINT8, bool packed = false) const {
    auto file = hdf5::create_file(in_folder(name));
    const auto group = hdf5::create_group(file.get(), "train");
    const hdf5::Handle space(
        H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose);
    const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (packed) {
      std::vector<hsize_t> chunk = shape;
      chunk[0] = std::min<hsize_t>(3, shape[0]);
      H5Pset_chunk(creation.get(), static_cast<int>(shape.size()), chunk.data());
      H5Pset_deflate(creation.get(), 4);
    }
    hdf5::Handle dataset(H5Dcreate2(group.get(), "images", type, space.get(), H5P_DEFAULT,
                                    creation.get(), H5P_DEFAULT),
                         H5Dclose);
    const auto values =
        std::accumulate(shape.begin(), shape.end(), hsize_t{1}, std::multiplies<>());
    const auto bytes = shape[0] == 0 ? 0 : static_cast<std::int64_t>(values / shape[0]);
    if (values > 0) {
      const auto images = test_images(0, static_cast<std::int64_t>(shape[0]), bytes);
      H5Dwrite(dataset.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, images.data());
    }
    return in_folder(name);
  }

  void write_bytes(const std::string& name, const std::string& bytes) const {
    std::ofstream(in_folder(name), std::ios::binary) << bytes;
  }
  [[nodiscard]] static std::string read_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// Names of what lies in the folder.
  [[nodiscard]] std::vector<std::string> listing() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("gondola-data-test-" + std::to_string(::getpid()));
};

/// The images of these ids, read through the source.
inline std::vector<std::uint8_t> read_ids(const ImageSource& source,
                                          const std::vector<std::int64_t>& ids) {
  std::vector<std::uint8_t> images(ids.size() * static_cast<std::size_t>(source.image_bytes()));
  source.read(ids, images);
  return images;
}

/// 0..count-1.
inline std::vector<std::int64_t> first_ids(std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

}  // namespace gondola
