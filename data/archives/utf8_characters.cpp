#include "data/archives/utf8_characters.hpp"

namespace gondola {

Utf8Characters::Utf8Characters() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{})) {
  if (utf8_ != locale_t{}) before_ = ::uselocale(utf8_);
}

Utf8Characters::~Utf8Characters() {
  if (utf8_ == locale_t{}) return;
  ::uselocale(before_);
  ::freelocale(utf8_);
}

}  // namespace gondola
