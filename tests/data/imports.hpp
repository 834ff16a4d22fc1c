#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/images/png.hpp"
#include "data/importers/import_job.hpp"
#include "data/importers/importers.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {

/// A grey picture of the test images' pixels.
inline void write_picture(const std::string& path, std::int64_t id, std::int64_t height,
                          std::int64_t width) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_png(path, width, height, 1, test_images(id, 1, height * width));
}

/// A test that imports files of its folder.
class Imports : public DataTest {
 protected:
  /// Imports to out.h5 of the test's folder.
  ImportReport import_from(const std::string& format, const std::vector<std::string>& inputs,
                           ImportOptions options = {}, SourceOptions source_options = {}) const {
    if (options.output.empty()) options.output = in_folder("out.h5");
    options.name = "test";
    options.jobs = 2;
    source_options.inputs.clear();
    for (const auto& input : inputs) {
      source_options.inputs.push_back(input.starts_with("/") ? input : in_folder(input));
    }
    const auto source = importer(format).open(source_options);
    return run_import(*source, options);
  }
  void write_pictures(const std::string& folder, std::int64_t count, std::int64_t height = 6,
                      std::int64_t width = 5) const {
    for (std::int64_t i = 0; i < count; ++i) {
      write_picture(in_folder(folder + "/img" + std::to_string(i) + ".png"), i, height, width);
    }
  }
  [[nodiscard]] std::vector<std::uint8_t> images_of(const std::string& name,
                                                    Split split = Split::kTrain) const {
    const auto source = open_source(in_folder(name), split, CacheKind::kNone);
    return read_ids(*source, first_ids(source->images()));
  }
};

}  // namespace gondola
