#pragma once

#include <locale.h>

namespace gondola {

/// While it lives, this thread's characters are UTF-8: libarchive converts the names of members to
/// them, and in the C locale, which is the program's, any but ASCII ones come to nothing. Made and
/// destroyed on one thread, the last made first.
class Utf8Characters {
 public:
  Utf8Characters();
  ~Utf8Characters();
  Utf8Characters(const Utf8Characters&) = delete;
  Utf8Characters& operator=(const Utf8Characters&) = delete;

 private:
  locale_t utf8_;
  locale_t before_{};
};

}  // namespace gondola
