#include "data/archives/natural_order.hpp"

#include <algorithm>
#include <cstddef>

namespace gondola {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Length of the run of digits at the start of a text.
std::size_t digits_of(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) -
                                  text.begin());
}

}  // namespace

bool natural_less(std::string_view left, std::string_view right) {
  const std::string_view all_left = left;
  const std::string_view all_right = right;
  while (!left.empty() && !right.empty()) {
    if (is_digit(left.front()) && is_digit(right.front())) {
      auto a = left.substr(0, digits_of(left));
      auto b = right.substr(0, digits_of(right));
      left.remove_prefix(a.size());
      right.remove_prefix(b.size());
      a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
      b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
      if (a.size() != b.size()) return a.size() < b.size();
      if (a != b) return a < b;
    } else {
      if (left.front() != right.front()) {
        return static_cast<unsigned char>(left.front()) < static_cast<unsigned char>(right.front());
      }
      left.remove_prefix(1);
      right.remove_prefix(1);
    }
  }
  if (left.empty() != right.empty()) return left.empty();
  return all_left < all_right;  // equal but for leading zeros
}

}  // namespace gondola
