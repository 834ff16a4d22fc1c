// golden_check [--float32] FILE...: runs the method of each golden file on its inputs and prints
// the largest relative error of each quantity. Exit 0: all within tolerance; 1: beyond; 2: a method
// this program does not know. Under mpirun the batch is split unevenly over the ranks, some of
// which may get no image.

#include <mpi.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/golden/case_check.hpp"
#include "tests/golden/golden_model.hpp"
#include "tests/golden/utilities_check.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace {

using namespace gondola;
using namespace gondola::golden;

/// Prints one file's line on rank 0. @return whether all is within tolerance.
bool report(const std::string& path, const Checks& checks, int rank) {
  bool passed = true;
  std::string line;
  for (const auto& [name, check] : checks) {
    const bool within = check.error <= check.tolerance;
    passed = passed && within;
    char text[160];
    std::snprintf(text, sizeof(text), "  %s%s %.1e%s", within ? "" : "BEYOND ", name.c_str(),
                  check.error, check.absolute ? " (absolute)" : "");
    line += text;
  }
  if (rank == 0) {
    std::printf("%s %s:%s\n", passed ? "ok  " : "FAIL", std::filesystem::path(path).stem().c_str(),
                line.c_str());
    std::fflush(stdout);
  }
  return passed;
}

int check_all(const std::vector<std::string>& paths, torch::ScalarType dtype,
              Communicator& communicator) {
  bool beyond = false;
  bool unknown = false;
  for (const auto& path : paths) {
    const GoldenFile file(path);
    try {
      const bool utilities = std::filesystem::path(path).stem() == "utilities";
      const auto folder = std::filesystem::path(path).parent_path().string();
      const auto checks = utilities ? check_utilities(file, folder.empty() ? "." : folder)
                                    : check_case(file, dtype, communicator);
      beyond = !report(path, checks, communicator.rank()) || beyond;
    } catch (const UnknownMethod& error) {
      unknown = true;
      if (communicator.rank() == 0) std::printf("unknown %s: %s\n", path.c_str(), error.what());
    }
  }
  if (communicator.rank() == 0) {
    std::printf("%zu files on %d ranks\n", paths.size(), communicator.size());
  }
  return beyond ? 1 : unknown ? 2 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  torch::ScalarType dtype = torch::kFloat64;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--float32") {
      dtype = torch::kFloat32;
    } else {
      paths.emplace_back(argv[i]);
    }
  }
  int code = 1;
  try {
    if (paths.empty()) throw std::invalid_argument("usage: golden_check [--float32] FILE...");
    CollectiveProgress progress;
    MpiCommunicator communicator(MPI_COMM_WORLD, progress);
    code = check_all(paths, dtype, communicator);
    communicator.close();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "golden_check: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return code;
}
