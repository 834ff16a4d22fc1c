#include "trainer/passed_over.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"

namespace gondola {
namespace {

const char* reason_of(Trouble trouble) {
  switch (trouble) {
    case Trouble::kWeights:
      return "weights";
    case Trouble::kLoss:
      return "batch";
    case Trouble::kGradient:
      return "gradient";
    case Trouble::kBound:
      break;
  }
  return "bound";
}

/// @param reason by position in the batch.
template <typename Reason>
std::string lines_of(std::int64_t step, Cursor cursor, const std::vector<std::int64_t>& ids,
                     Reason reason) {
  const auto images = static_cast<std::int64_t>(ids.size());
  const auto prefix = std::to_string(step) + "," + std::to_string(cursor.epoch) + ",";
  std::string lines;
  for (std::int64_t i = 0; i < images; ++i) {
    lines += prefix + std::to_string(cursor.batch * images + i) + "," +
             std::to_string(ids[static_cast<std::size_t>(i)]) + "," + reason(i) + "\n";
  }
  return lines;
}

}  // namespace

std::filesystem::path passed_over_file(const std::filesystem::path& run_folder) {
  return run_folder / "logs" / "passed_over.csv";
}

std::string passed_over_lines(const BadStep& bad) {
  return lines_of(bad.step, bad.cursor, bad.ids, [&](std::int64_t position) {
    const bool own = std::binary_search(bad.positions.begin(), bad.positions.end(), position);
    return own ? "loss" : reason_of(bad.trouble);
  });
}

std::string taken_back_lines(std::int64_t step, Cursor cursor,
                             const std::vector<std::int64_t>& ids) {
  return lines_of(step, cursor, ids, [](std::int64_t) { return "rollback"; });
}

void append_passed_over(const std::filesystem::path& file, const std::string& lines) {
  std::ofstream out(file, std::ios::app);
  if (out && out.tellp() == 0) out << "step,epoch,position,image_id,reason\n";
  out << lines << std::flush;
  if (!out) {
    throw IoError("cannot write '" + file.string() + "': " + std::strerror(errno) +
                  "; make room and resume");
  }
}

void keep_passed_over_before(const std::filesystem::path& file, Cursor cursor,
                             std::int64_t batch_size) {
  std::ifstream in(file);
  if (!in) return;
  const std::pair first{cursor.epoch, cursor.batch * batch_size};
  std::string kept;
  bool changed = false;
  for (std::string line; std::getline(in, line);) {
    std::int64_t step = 0, epoch = 0, position = 0, id = 0;
    char comma = 0;
    std::istringstream fields(line);
    const bool whole = !in.eof() && (fields >> step >> comma >> epoch >> comma >> position >>
                                     comma >> id >> comma);
    const bool heading = kept.empty() && line.starts_with("step,");
    if (heading || (whole && std::pair{epoch, position} < first)) {
      kept += line + "\n";
    } else {
      changed = true;
    }
  }
  if (!changed) return;
  write_file_atomically(file, {reinterpret_cast<const std::uint8_t*>(kept.data()), kept.size()});
}

}  // namespace gondola
