#pragma once

#include <hdf5.h>

#include <string>

#include "configs/errors.hpp"
#include "data/hdf5_handle.hpp"

namespace gondola::hdf5 {

// Sentences of what HDF5 could not do: shared by the files that call it.

/// ": " and HDF5's own words about the last failure, or nothing.
[[nodiscard]] inline std::string reason() {
  const std::string text = last_error();
  return text.empty() ? "" : ": " + text;
}

[[noreturn]] inline void fail_to_write(hid_t object, const std::string& what) {
  const std::string why = reason();
  throw IoError("cannot write " + what + " of " + file_name(object) + why +
                "; check the space left and the permissions");
}

[[noreturn]] inline void fail_to_read(hid_t object, const std::string& what,
                                      const std::string& problem) {
  throw DataError(what + " of " + file_name(object) + " " + problem +
                  "; the file is damaged or of another kind: make it again");
}

}  // namespace gondola::hdf5
