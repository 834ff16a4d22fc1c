#include "data/hdf5_attributes.hpp"

#include <algorithm>
#include <type_traits>

#include "configs/errors.hpp"
#include "data/hdf5_failures.hpp"

namespace gondola::hdf5 {
namespace {

enum class Extent { kScalar, kList };

void write_raw_attribute(hid_t object, const std::string& name, hid_t type, const void* values,
                         std::size_t count, Extent extent) {
  silence_errors();
  const hsize_t length = count;
  const Handle space(
      extent == Extent::kScalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &length, nullptr),
      H5Sclose);
  if (has_attribute(object, name) && H5Adelete(object, name.c_str()) < 0) {
    fail_to_write(object, "attribute " + name);
  }
  Handle attribute(H5Acreate2(object, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                   H5Aclose);
  const char none = 0;  // HDF5 wants an address even for no values
  if (!space || !attribute || H5Awrite(attribute.get(), type, count == 0 ? &none : values) < 0) {
    fail_to_write(object, "attribute " + name);
  }
  attribute.close();
}

/// UTF-8 text in fields of this many bytes, filled up with zeros.
Handle text_type(std::size_t bytes) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  if (!type || H5Tset_size(type.get(), bytes) < 0 || H5Tset_cset(type.get(), H5T_CSET_UTF8) < 0 ||
      H5Tset_strpad(type.get(), H5T_STR_NULLPAD) < 0) {
    throw IoError("cannot make the HDF5 type of text" + reason());
  }
  return type;
}

void write_strings(hid_t object, const std::string& name, std::span<const std::string> values,
                   Extent extent) {
  silence_errors();
  std::size_t bytes = 1;
  for (const std::string& value : values) {
    bytes = std::max(bytes, value.size());
  }
  std::string fields(bytes * values.size(), '\0');
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i].copy(fields.data() + i * bytes, bytes);
  }
  write_raw_attribute(object, name, text_type(bytes).get(), fields.data(), values.size(), extent);
}

struct OpenAttribute {
  Handle attribute, type, space;
  std::size_t count = 0;
};

OpenAttribute open_attribute(hid_t object, const std::string& name) {
  silence_errors();
  if (!has_attribute(object, name)) {
    fail_to_read(object, "attribute " + name, "is missing");
  }
  OpenAttribute open;
  open.attribute = Handle(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  open.type = Handle(open.attribute ? H5Aget_type(open.attribute.get()) : -1, H5Tclose);
  open.space = Handle(open.attribute ? H5Aget_space(open.attribute.get()) : -1, H5Sclose);
  const hssize_t count = open.space ? H5Sget_simple_extent_npoints(open.space.get()) : -1;
  constexpr hsize_t kMostBytes = 1 << 26;
  if (!open.type || count < 0 || H5Aget_storage_size(open.attribute.get()) > kMostBytes ||
      static_cast<hsize_t>(count) >
          kMostBytes / std::max<std::size_t>(1, H5Tget_size(open.type.get()))) {
    fail_to_read(object, "attribute " + name, "cannot be read");
  }
  open.count = static_cast<std::size_t>(count);
  return open;
}

std::vector<std::string> read_strings(hid_t object, const std::string& name) {
  const OpenAttribute open = open_attribute(object, name);
  if (H5Tget_class(open.type.get()) != H5T_STRING) {
    fail_to_read(object, "attribute " + name, "is not text");
  }
  // HDF5 1.10 crashes on damaged text of variable length; ours has a fixed one for that reason.
  if (H5Tis_variable_str(open.type.get()) != 0) {
    fail_to_read(object, "attribute " + name, "is text of variable length");
  }
  std::vector<std::string> values;
  const std::size_t length = H5Tget_size(open.type.get());
  std::string all(length * open.count, '\0');
  if (!all.empty() && H5Aread(open.attribute.get(), open.type.get(), all.data()) < 0) {
    fail_to_read(object, "attribute " + name, "cannot be read");
  }
  for (std::size_t i = 0; i < open.count; ++i) {
    const std::string text = all.substr(i * length, length);
    values.push_back(text.substr(0, text.find('\0')));
  }
  return values;
}

template <typename T>
std::vector<T> read_numbers(hid_t object, const std::string& name) {
  const OpenAttribute open = open_attribute(object, name);
  const H5T_class_t stored = H5Tget_class(open.type.get());
  const bool fits =
      std::is_integral_v<T> ? stored == H5T_INTEGER : stored == H5T_INTEGER || stored == H5T_FLOAT;
  std::vector<T> values(open.count);
  if (!fits ||
      (!values.empty() && H5Aread(open.attribute.get(), native_type<T>(), values.data()) < 0)) {
    fail_to_read(object, "attribute " + name, "is not made of numbers of the expected kind");
  }
  return values;
}

template <typename T>
T only_value(hid_t object, const std::string& name, const std::vector<T>& values) {
  if (values.size() != 1) {
    fail_to_read(object, "attribute " + name,
                 "has " + std::to_string(values.size()) + " values instead of one");
  }
  return values.front();
}

}  // namespace

bool has_attribute(hid_t object, const std::string& name) {
  silence_errors();
  const htri_t there = H5Aexists(object, name.c_str());
  if (there < 0) fail_to_read(object, "attribute " + name, "cannot be looked for");
  return there > 0;
}

void write_attribute(hid_t object, const std::string& name, const std::string& value) {
  write_strings(object, name, std::span(&value, 1), Extent::kScalar);
}

void write_attribute(hid_t object, const std::string& name, std::int64_t value) {
  write_raw_attribute(object, name, H5T_NATIVE_INT64, &value, 1, Extent::kScalar);
}

void write_attribute(hid_t object, const std::string& name, double value) {
  write_raw_attribute(object, name, H5T_NATIVE_DOUBLE, &value, 1, Extent::kScalar);
}

void write_attribute(hid_t object, const std::string& name, std::span<const std::string> values) {
  write_strings(object, name, values, Extent::kList);
}

void write_attribute(hid_t object, const std::string& name, std::span<const std::int64_t> values) {
  write_raw_attribute(object, name, H5T_NATIVE_INT64, values.data(), values.size(), Extent::kList);
}

void write_attribute(hid_t object, const std::string& name, std::span<const double> values) {
  write_raw_attribute(object, name, H5T_NATIVE_DOUBLE, values.data(), values.size(), Extent::kList);
}

std::string read_string_attribute(hid_t object, const std::string& name) {
  return only_value(object, name, read_strings(object, name));
}

std::int64_t read_i64_attribute(hid_t object, const std::string& name) {
  return only_value(object, name, read_numbers<std::int64_t>(object, name));
}

double read_f64_attribute(hid_t object, const std::string& name) {
  return only_value(object, name, read_numbers<double>(object, name));
}

std::vector<std::string> read_strings_attribute(hid_t object, const std::string& name) {
  return read_strings(object, name);
}

std::vector<std::int64_t> read_i64s_attribute(hid_t object, const std::string& name) {
  return read_numbers<std::int64_t>(object, name);
}

std::vector<double> read_f64s_attribute(hid_t object, const std::string& name) {
  return read_numbers<double>(object, name);
}

}  // namespace gondola::hdf5
