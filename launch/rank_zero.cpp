#include "launch/rank_zero.hpp"

#include <torch/types.h>

#include <cstring>
#include <vector>

#include "configs/errors.hpp"
#include "launch/exit_code.hpp"

namespace gondola {
namespace {

/// Throws what rank 0 threw: the class matters to nobody but for its exit code, which Error
/// carries.
[[noreturn]] void throw_again(std::int64_t code, const std::string& sentence) {
  throw Error(static_cast<ExitCode>(code), sentence);
}

}  // namespace

std::string decide_on_rank_zero(Communicator& control, const std::function<std::string()>& decide) {
  std::string text;
  std::int64_t code = 0;
  if (control.rank() == 0) {
    try {
      text = decide();
    } catch (const std::exception& error) {
      code = static_cast<std::int64_t>(exit_code_of(error));
      text = sentence_of(error);
    }
  }
  auto header = torch::tensor({code, static_cast<std::int64_t>(text.size())}, torch::kInt64);
  control.broadcast(header, 0);
  code = header[0].item<std::int64_t>();
  auto bytes = torch::empty({header[1].item<std::int64_t>()}, torch::kUInt8);
  if (bytes.numel() > 0) {
    if (control.rank() == 0) std::memcpy(bytes.data_ptr(), text.data(), text.size());
    control.broadcast(bytes, 0);
  }
  text.assign(static_cast<const char*>(bytes.data_ptr()), static_cast<std::size_t>(bytes.numel()));
  if (code != 0) throw_again(code, text);
  return text;
}

}  // namespace gondola
