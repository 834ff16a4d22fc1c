#pragma once

#include <memory>

#include "data/importers/import_source.hpp"

namespace gondola {

/// Images of another program's HDF5 file, in any layout that HDF5 reads, chunked and packed ones
/// too: the dataset SourceOptions.dataset; else /train/images and /test/images, where there are
/// such; else the only dataset of 3 or 4 dimensions. [N, H, W], [N, C, H, W], or [N, H, W, C] with
/// C = 1 or 3, where the second size is neither 1 nor 3.
///
/// Whole numbers are taken as they are, 0..255. Fractions are in [0, 1] and are multiplied by 255
/// where no value of the first GiB is above 1, else in [0, 255]; both are rounded half up. A whole
/// [N] named labels or label in the same group becomes the labels.
///
/// Another process (fork) has the file open, for HDF5 itself crashes on some damaged ones. REQUIRES
/// that no other thread uses HDF5 during this call.
/// @throws MissingInputError, ConfigError (several datasets could be meant), DataError (damaged, of
///         another shape or type, a value out of range), IoError
[[nodiscard]] std::unique_ptr<ImportSource> open_hdf5(const SourceOptions& options);

}  // namespace gondola
