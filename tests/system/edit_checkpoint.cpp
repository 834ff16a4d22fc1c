// Sets the first number of a row of one of a checkpoint's datasets and seals the checkpoint again,
// as if it had been written so: for divergence_test.py.
//
//   edit_checkpoint CHECKPOINT DATASET ROW VALUE        VALUE: a number, nan or inf

#include <xxhash.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "data/hdf5_handle.hpp"

namespace gondola {
namespace {

void set_number(const std::string& state, const std::string& name, std::int64_t row, double value) {
  const auto file = hdf5::open_file_for_writing(state);
  const hdf5::Handle dataset(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
  const auto shape = hdf5::describe_dataset(dataset.get(), name).shape;
  std::vector<hsize_t> start(shape.size(), 0);
  const std::vector<hsize_t> count(shape.size(), 1);
  start.front() = static_cast<hsize_t>(row);
  const hdf5::Handle stored(H5Dget_space(dataset.get()), H5Sclose);
  const hdf5::Handle one(H5Screate(H5S_SCALAR), H5Sclose);
  if (H5Sselect_hyperslab(stored.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(),
                          nullptr) < 0 ||
      H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, one.get(), stored.get(), H5P_DEFAULT, &value) <
          0) {
    std::exit(1);
  }
}

void seal(const std::string& checkpoint) {
  std::ifstream in(checkpoint + "/state.h5", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  char line[64];
  std::snprintf(line, sizeof(line), "%016llx %zu\n",
                static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())),
                bytes.size());
  std::ofstream(checkpoint + "/COMPLETE") << line;
}

}  // namespace
}  // namespace gondola

int main(int argc, char** argv) {
  if (argc != 5) return 64;
  const std::string checkpoint = argv[1];
  gondola::set_number(checkpoint + "/state.h5", argv[2], std::atoll(argv[3]), std::atof(argv[4]));
  gondola::seal(checkpoint);
  return 0;
}
