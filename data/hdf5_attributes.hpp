#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/hdf5_handle.hpp"

namespace gondola::hdf5 {

/// @throws DataError where damage hides it
[[nodiscard]] bool has_attribute(hid_t object, const std::string& name);

/// Writes an attribute, replacing one of the same name. Text is UTF-8 of fixed length, filled up
/// with zeros.
/// @throws IoError
void write_attribute(hid_t object, const std::string& name, const std::string& value);
void write_attribute(hid_t object, const std::string& name, std::int64_t value);
void write_attribute(hid_t object, const std::string& name, double value);
void write_attribute(hid_t object, const std::string& name, std::span<const std::string> values);
void write_attribute(hid_t object, const std::string& name, std::span<const std::int64_t> values);
void write_attribute(hid_t object, const std::string& name, std::span<const double> values);

/// Reads an attribute; numbers are converted to the asked type. Text of variable length is refused:
/// HDF5 1.10 crashes where that is damaged. @throws DataError where it is missing or of another
/// kind
[[nodiscard]] std::string read_string_attribute(hid_t object, const std::string& name);
[[nodiscard]] std::int64_t read_i64_attribute(hid_t object, const std::string& name);
[[nodiscard]] double read_f64_attribute(hid_t object, const std::string& name);
[[nodiscard]] std::vector<std::string> read_strings_attribute(hid_t object,
                                                              const std::string& name);
[[nodiscard]] std::vector<std::int64_t> read_i64s_attribute(hid_t object, const std::string& name);
[[nodiscard]] std::vector<double> read_f64s_attribute(hid_t object, const std::string& name);

}  // namespace gondola::hdf5
