#include "launch/benches/noise_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "configs/errors.hpp"
#include "data/dataset_file.hpp"
#include "data/dataset_writer.hpp"

namespace gondola {

TemporaryFolder::TemporaryFolder() {
  std::string name = std::filesystem::temp_directory_path() / "gondola-bench-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) {
    throw IoError("cannot make the folder " + name + ": " + std::strerror(errno) +
                  "; name another place with TMPDIR");
  }
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

NoiseFile::NoiseFile(std::int64_t images, const ImageShape& shape) {
  DatasetPlan plan{};
  plan.name = "noise";
  plan.channels = shape.channels;
  plan.height = shape.height;
  plan.width = shape.width;
  plan.train_images = images;
  DatasetWriter writer(path(), plan);
  const std::int64_t bytes = shape.channels * shape.height * shape.width;
  std::vector<std::uint8_t> part;
  constexpr std::int64_t kPart = 1000;
  std::uint64_t state = 1;
  for (std::int64_t first = 0; first < images; first += kPart) {
    part.resize(static_cast<std::size_t>(std::min(kPart, images - first) * bytes));
    for (std::uint8_t& byte : part) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      byte = static_cast<std::uint8_t>(state >> 56);
    }
    writer.write(Split::kTrain, first, part);
  }
  writer.commit({}, {}, {});
}

}  // namespace gondola
