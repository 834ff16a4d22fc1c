// Writes a dataset file that is wrong in one way, for bad_input_test.py.
//
//   make_dataset FILE KIND
//
// KIND: good         train and test images [40, 1, 28, 28] and [10, 1, 28, 28] of bytes;
//       flat         images of rank 2;                floats    fractions, one of them below 0;
//       empty-test   a test split without images;     no-images a train split without its dataset;
//       other-shape  test images [10, 1, 32, 32];     no-splits nothing at all;
//       huge         declares more images than there are bytes for;
//       sparse       nothing is wrong, but that 21 GB of train images are a hole in the file.

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "data/hdf5_attributes.hpp"
#include "data/hdf5_handle.hpp"

namespace gondola {
namespace {

template <typename T>
void write_images(hid_t file, const std::string& split, const std::vector<std::int64_t>& shape) {
  std::size_t values = 1;
  for (const auto size : shape) values *= static_cast<std::size_t>(size);
  std::vector<T> images(values);
  for (std::size_t i = 0; i < values; ++i) images[i] = static_cast<T>(i * 7 % 251);
  const auto group = hdf5::create_group(file, split);
  hdf5::write_dataset<T>(group.get(), "images", images, shape);
}

/// Space for so many images is declared, and never taken.
void declare_images(hid_t file, hsize_t images) {
  const auto group = hdf5::create_group(file, "train");
  const hsize_t shape[4] = {images, 1, 28, 28};
  const hdf5::Handle space(H5Screate_simple(4, shape, nullptr), H5Sclose);
  const hdf5::Handle dataset(H5Dcreate2(group.get(), "images", H5T_STD_U8LE, space.get(),
                                        H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                             H5Dclose);
}

/// A whole dataset file of 1,750,000 images 3x64x64 of zeros, which take no space on the disk.
void write_sparse(hid_t root) {
  const auto group = hdf5::create_group(root, "train");
  const hsize_t shape[4] = {1'750'000, 3, 64, 64};
  const hdf5::Handle space(H5Screate_simple(4, shape, nullptr), H5Sclose);
  const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  const hdf5::Handle dataset(H5Dcreate2(group.get(), "images", H5T_STD_U8LE, space.get(),
                                        H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                             H5Dclose);
  const std::vector<double> mean(3 * 64 * 64);
  const std::vector<std::int64_t> mean_shape = {3, 64, 64};
  hdf5::write_dataset<double>(group.get(), "mean_image", mean, mean_shape);
  const std::vector<double> channels(3);
  const std::vector<std::string> names = {"/train/images", "/train/mean_image"};
  const std::vector<std::string> sums(2, "0123456789abcdef");
  hdf5::write_attribute(root, "name", std::string("holes"));
  hdf5::write_attribute(root, "recipe", std::string("none"));
  hdf5::write_attribute(root, "channel_mean", std::span<const double>(channels));
  hdf5::write_attribute(root, "channel_stddev", std::span<const double>(channels));
  hdf5::write_attribute(root, "source_names", std::span<const std::string>(names).first(1));
  hdf5::write_attribute(root, "source_sha256", std::span<const std::string>(sums).first(1));
  hdf5::write_attribute(root, "checksum_names", std::span<const std::string>(names));
  hdf5::write_attribute(root, "checksum_xxh3", std::span<const std::string>(sums));
  hdf5::write_attribute(root, "format_version", std::int64_t{1});
  hdf5::write_attribute(root, "format", std::string("gondola-dataset"));
}

bool make(const std::string& path, const std::string& kind) {
  auto file = hdf5::create_file(path);
  const auto root = file.get();
  const std::vector<std::int64_t> train = {40, 1, 28, 28};
  if (kind == "good") {
    write_images<std::uint8_t>(root, "train", train);
    write_images<std::uint8_t>(root, "test", {10, 1, 28, 28});
  } else if (kind == "flat") {
    write_images<std::uint8_t>(root, "train", {40, 784});
  } else if (kind == "floats") {
    write_images<float>(root, "train", train);
    const float below = -0.5F;
    const auto images = hdf5::open_dataset(root, "train/images");
    const hdf5::Handle all(H5Dget_space(images.get()), H5Sclose),
        one(H5Screate(H5S_SCALAR), H5Sclose);
    const hsize_t place[4] = {3, 0, 1, 2};
    H5Sselect_elements(all.get(), H5S_SELECT_SET, 1, place);
    H5Dwrite(images.get(), H5T_NATIVE_FLOAT, one.get(), all.get(), H5P_DEFAULT, &below);
  } else if (kind == "empty-test") {
    write_images<std::uint8_t>(root, "train", train);
    write_images<std::uint8_t>(root, "test", {0, 1, 28, 28});
  } else if (kind == "other-shape") {
    write_images<std::uint8_t>(root, "train", train);
    write_images<std::uint8_t>(root, "test", {10, 1, 32, 32});
  } else if (kind == "no-images") {
    [[maybe_unused]] const auto group = hdf5::create_group(root, "train");
  } else if (kind == "huge") {
    declare_images(root, hsize_t{1} << 50);
  } else if (kind == "sparse") {
    write_sparse(root);
  } else if (kind != "no-splits") {
    return false;
  }
  file.close();
  return true;
}

}  // namespace
}  // namespace gondola

int main(int argc, char** argv) {
  if (argc == 3 && gondola::make(argv[1], argv[2])) return 0;
  std::fprintf(stderr, "usage: make_dataset FILE KIND\n");
  return 64;
}
