#pragma once

namespace gondola {

/// Flushes standard output: results that were not written must not end like success.
/// @throws IoError
void finish_output();

}  // namespace gondola
