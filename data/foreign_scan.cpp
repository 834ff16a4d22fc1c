#include "data/foreign_scan.hpp"

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "configs/errors.hpp"
#include "data/checksum.hpp"
#include "data/dataset_file.hpp"
#include "data/expand_paths.hpp"
#include "data/helper_process.hpp"
#include "data/image_blocks.hpp"

namespace gondola {
namespace {

/// After each block, so that a long reading is told from one that hangs.
enum class Message : char { kNoSplit, kMore, kDone };

/// The helper's part: answers each request with a message, the last with the scan.
void scan(const std::string& path, Split split, ProcessLink& link) {
  const DatasetFile file(path);
  const auto say = [&link](Message message) {
    HelperProcess::begin_answer(link);
    link.put(message);
  };
  const SplitInfo* const info = file.split(split);
  if (info == nullptr) {
    say(Message::kNoSplit);
    return;
  }
  constexpr std::int64_t kBlockBytes = 1 << 24;
  ForeignScan found{std::vector<std::uint64_t>(static_cast<std::size_t>(info->image_bytes())), ""};
  Xxh3 checksum;
  for_each_block(file, split, kBlockBytes, [&](std::int64_t, std::span<const std::uint8_t> block) {
    checksum.update(block.data(), block.size());
    for (const std::uint8_t* pixel = block.data(); pixel != block.data() + block.size();) {
      for (std::uint64_t& sum : found.sums) sum += *pixel++;
    }
    say(Message::kMore);
  });
  (void)file.read_labels(split);
  say(Message::kDone);
  link.put_list(found.sums);
  link.put_list(checksum.hex());
}

}  // namespace

std::optional<ForeignScan> scan_foreign(const std::string& path, Split split) {
  HelperProcess helper([&](ProcessLink& link) { scan(path, split, link); });
  std::optional<ForeignScan> found;
  for (auto message = Message::kMore; message == Message::kMore;) {
    helper.answer(
        path, [](ProcessLink&) {},
        [&](ProcessLink& link) {
          message = link.get<Message>();
          if (message != Message::kDone) return;
          found.emplace();
          found->sums = link.get_list<std::vector<std::uint64_t>>();
          found->checksum = link.get_list<std::string>();
        });
  }
  return found;
}

void rehearse_reading(const std::string& path, Reading reading) {
  if (metadata_has_checksums(path)) return;
  if (reading == Reading::kImages) {
    for (const Split split : {Split::kTrain, Split::kTest}) (void)scan_foreign(path, split);
    return;
  }
  HelperProcess helper([&](ProcessLink& link) {
    const DatasetFile file(path);
    HelperProcess::begin_answer(link);
  });
  helper.answer(
      path, [](ProcessLink&) {}, [](ProcessLink&) {});
}

bool metadata_has_checksums(const std::string& path) {
  constexpr std::array<char, 8> kSignature = {'\211', 'H', 'D', 'F', '\r', '\n', '\032', '\n'};
  std::array<char, kSignature.size() + 1> begin{};
  std::ifstream file(path, std::ios::binary);
  file.read(begin.data(), begin.size());
  return file && std::memcmp(begin.data(), kSignature.data(), kSignature.size()) == 0 &&
         begin.back() >= 2;
}

std::int64_t bytes_read_when_opened(const std::string& list) {
  std::int64_t bytes = 0;
  try {
    const auto paths = expand_paths(list);
    if (paths.empty()) return 0;
    const bool foreign =
        !metadata_has_checksums(paths.front()) || !DatasetFile(paths.front()).header().native;
    if (!foreign) return 0;
    for (const auto& path : paths) {
      std::error_code error;
      const auto size = std::filesystem::file_size(path, error);
      if (!error) bytes += static_cast<std::int64_t>(size);
    }
  } catch (const Error&) {
  }
  return bytes;
}

}  // namespace gondola
