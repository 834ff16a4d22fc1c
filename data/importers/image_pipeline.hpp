#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "data/importers/import_source.hpp"

namespace gondola {

/// Reads the wanted images of a source on the calling thread and hands them, a few at a time and in
/// the source's order, to `process` on one of `jobs` threads of its own, a bounded amount ahead.
/// Those whose bytes the source left to be read are for `process` to load().
/// Stops reading after `most` images; 0: reads the source to its end. What the source or `process`
/// throws first ends it all and comes out here, after the threads have stopped. REQUIRES jobs >= 1.
void run_pipeline(ImportSource& source, std::int64_t jobs, std::int64_t most,
                  const std::function<bool(ImportPlace)>& wanted,
                  const std::function<void(std::span<RawImage>)>& process);

}  // namespace gondola
