#include "launch/rank_zero.hpp"

#include <torch/types.h>

#include <utility>

#include "configs/errors.hpp"
#include "launch/exit_code.hpp"
#include "trainer/parallel/broadcast_text.hpp"

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
  auto shared_code = torch::tensor({code}, torch::kInt64);
  control.broadcast(shared_code, 0);
  code = shared_code.item<std::int64_t>();
  text = broadcast_text(control, std::move(text));
  if (code != 0) throw_again(code, text);
  return text;
}

}  // namespace gondola
