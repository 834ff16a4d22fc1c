#include "data/ledger.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <utility>

#include "configs/errors.hpp"

namespace gondola {
namespace {

/// The step of a line `step,epoch,position,image_id`; nothing where it is no such line.
std::optional<std::int64_t> step_of(const std::string& line) {
  std::array<std::int64_t, 4> fields{};
  const char* at = line.data();
  const char* const end = at + line.size();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto [after, error] = std::from_chars(at, end, fields[i]);
    const bool separated = i + 1 == fields.size() ? after == end : after != end && *after == ',';
    if (error != std::errc{} || !separated) {
      return std::nullopt;
    }
    at = after + 1;
  }
  return fields[0];
}

bool has_rows(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

}  // namespace

std::string ledger_lines(std::int64_t step, std::int64_t epoch, std::int64_t first_position,
                         std::span<const std::int64_t> ids) {
  const std::string prefix = std::to_string(step) + ',' + std::to_string(epoch) + ',';
  std::string lines;
  for (const std::int64_t id : ids) {
    lines += prefix + std::to_string(first_position++) + ',' + std::to_string(id) + '\n';
  }
  return lines;
}

void require_new_ledger(const std::string& path) {
  if (!has_rows(path)) return;
  throw ConfigError("the ledger " + path +
                    " exists already and is not overwritten; remove it or name another with "
                    "--data.ledger");
}

LedgerWriter::LedgerWriter(std::string path, std::optional<std::int64_t> resume_step)
    : path_(std::move(path)) {
  if (!resume_step) require_new_ledger(path_);
  const bool continued = has_rows(path_);
  const std::int64_t length = continued ? length_up_to(*resume_step) : 0;
  file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!file_ || (continued && ::ftruncate(file_.get(), length) != 0)) {
    throw IoError("cannot write the ledger " + path_ + ": " + std::strerror(errno));
  }
}

std::int64_t LedgerWriter::length_up_to(std::int64_t step) const {
  std::ifstream in(path_);
  if (!in) {
    throw IoError("cannot read the ledger " + path_ + ": " + std::strerror(errno));
  }
  std::int64_t length = 0;
  std::string line;
  while (std::getline(in, line) && !in.eof()) {  // at the end without a newline: a line cut off
    const auto row_step = step_of(line);
    if (!row_step) {
      throw DataError(path_ + " is no ledger: byte " + std::to_string(length) + " starts '" +
                      line.substr(0, 40) +
                      "' where step,epoch,position,image_id is needed; name another --data.ledger");
    }
    if (*row_step > step) {
      break;
    }
    length += static_cast<std::int64_t>(line.size()) + 1;
  }
  return length;
}

void LedgerWriter::append(std::int64_t step, Cursor cursor, std::span<const std::int64_t> ids) {
  const auto first_position = cursor.batch * static_cast<std::int64_t>(ids.size());
  const std::string lines = ledger_lines(step, cursor.epoch, first_position, ids);
  const ssize_t written = ::write(file_.get(), lines.data(), lines.size());
  if (written != static_cast<ssize_t>(lines.size())) {
    throw IoError("cannot write the ledger " + path_ + ": " +
                  std::strerror(written < 0 ? errno : ENOSPC) + "; free some space");
  }
}

}  // namespace gondola
