#include "trainer/parallel/broadcast_text.hpp"

#include <torch/types.h>

#include <cstdint>

namespace gondola {

std::string broadcast_text(Communicator& control, std::string text) {
  auto length = torch::tensor({static_cast<std::int64_t>(text.size())}, torch::kInt64);
  control.broadcast(length, 0);
  text.resize(static_cast<std::size_t>(length.item<std::int64_t>()));
  if (text.empty()) return text;
  auto bytes = torch::from_blob(text.data(), {std::ssize(text)}, torch::kUInt8);
  control.broadcast(bytes, 0);
  return text;
}

}  // namespace gondola
