/// Prints how fast faces are imported, against the rate at which libjpeg-turbo alone unpacks the
/// same files on as many threads (of a .xz or .gz: at the best with the unpacking of the archive,
/// once, beside it): import_bench FOLDER-OR-ARCHIVE [THREADS] [REPEATS]. Not a test.
#include <archive.h>
#include <archive_entry.h>
#include <turbojpeg.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "data/archives/archive.hpp"
#include "data/importers/archive_source.hpp"
#include "data/importers/import_job.hpp"
#include "data/importers/importers.hpp"

namespace gondola {
namespace {

struct Seconds {
  double wall = 0;
  double cpu = 0;  ///< Of all threads: less disturbed by others on a shared machine.
};

Seconds seconds_of(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  const auto cpu_start = std::clock();
  action();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC};
}

void print_spread(const char* name, std::vector<double> ratios) {
  std::sort(ratios.begin(), ratios.end());
  std::printf("{\"%s\": {\"median\": %.3f, \"min\": %.3f, \"max\": %.3f}}\n", name,
              ratios[ratios.size() / 2], ratios.front(), ratios.back());
}

/// Unpacks every file to RGB, and does nothing with it.
void unpack(const std::vector<std::vector<std::uint8_t>>& files, std::int64_t threads) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    tjhandle handle = ::tjInitDecompress();
    std::vector<std::uint8_t> pixels;
    for (std::size_t i = next++; i < files.size(); i = next++) {
      int width = 0, height = 0, subsampling = 0, colours = 0;
      const auto length = static_cast<unsigned long>(files[i].size());
      ::tjDecompressHeader3(handle, files[i].data(), length, &width, &height, &subsampling,
                            &colours);
      pixels.resize(static_cast<std::size_t>(3 * width * height));
      if (::tjDecompress2(handle, files[i].data(), length, pixels.data(), width, 0, height,
                          TJPF_RGB, 0) != 0) {
        std::abort();
      }
    }
    ::tjDestroy(handle);
  };
  std::vector<std::jthread> workers;
  for (std::int64_t i = 0; i < threads; ++i) workers.emplace_back(work);
}

/// Unpacks a packed archive from end to end, and does nothing with it.
void unpack_archive(const std::string& path) {
  archive* reader = ::archive_read_new();
  ::archive_read_support_filter_all(reader);
  ::archive_read_support_format_raw(reader);
  archive_entry* entry = nullptr;
  const void* block = nullptr;
  std::size_t count = 0;
  la_int64_t offset = 0;
  if (::archive_read_open_filename(reader, path.c_str(), 1 << 20) != ARCHIVE_OK ||
      ::archive_read_next_header(reader, &entry) != ARCHIVE_OK) {
    std::abort();
  }
  while (::archive_read_data_block(reader, &block, &count, &offset) == ARCHIVE_OK) {
  }
  ::archive_read_free(reader);
}

int run(const std::string& input, std::int64_t threads, int repeats) {
  std::vector<std::vector<std::uint8_t>> files;
  // An archive that is packed as a whole cannot be unpacked by more than one thread.
  const bool packed = input.ends_with("xz") || input.ends_with("gz");
  const auto archive = Archive::open(input);
  archive->read(
      [&](std::size_t member) { return is_image_name(archive->names()[member]); },
      [&](std::size_t, std::vector<std::uint8_t> bytes) { files.push_back(std::move(bytes)); });
  const auto output = std::filesystem::temp_directory_path() /
                      ("gondola-import-bench-" + std::to_string(::getpid()) + ".h5");
  ImportOptions options;
  options.output = output;
  options.name = "bench";
  options.fit = {.height = 64, .width = 64};
  options.jobs = threads;
  const auto images = static_cast<double>(files.size());
  std::vector<double> ratios, cpu_ratios;
  for (int i = 0; i < repeats; ++i) {
    const auto decoding = seconds_of([&] { unpack(files, threads); });
    const auto importing = seconds_of([&] {
      const auto source = importer("celeba").open({.inputs = {input}});
      (void)run_import(*source, options);
    });
    std::filesystem::remove(output);
    Seconds control = decoding;
    if (packed) {
      const auto unpacking = seconds_of([&] { unpack_archive(input); });
      control.wall =
          std::max(unpacking.wall, decoding.wall + unpacking.wall / static_cast<double>(threads));
      control.cpu += unpacking.cpu;
    }
    ratios.push_back(control.wall / importing.wall);
    cpu_ratios.push_back(control.cpu / importing.cpu);
    std::printf(
        "{\"threads\": %lld, \"images\": %.0f, \"unpacked_per_second\": %.0f, "
        "\"imported_per_second\": %.0f, \"ratio\": %.3f, \"ratio_of_cpu_seconds\": %.3f}\n",
        static_cast<long long>(threads), images, images / control.wall, images / importing.wall,
        ratios.back(), cpu_ratios.back());
    std::fflush(stdout);
  }
  print_spread("ratio", ratios);
  print_spread("ratio_of_cpu_seconds", cpu_ratios);
  return 0;
}

}  // namespace
}  // namespace gondola

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: import_bench FOLDER-OR-ARCHIVE [THREADS] [REPEATS]\n");
    return 64;
  }
  return gondola::run(argv[1], argc > 2 ? std::atoi(argv[2]) : 2,
                      argc > 3 ? std::atoi(argv[3]) : 5);
}
