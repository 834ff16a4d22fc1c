#include "tests/golden/golden_file.hpp"

#include <hdf5.h>

#include <filesystem>

#include "configs/errors.hpp"

namespace gondola::golden {
namespace {

struct Visit {
  std::map<std::string, torch::Tensor>* tensors;
};

torch::Tensor read_dataset(hid_t dataset) {
  const hid_t space = H5Dget_space(dataset);
  std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  H5Sclose(space);
  const hid_t type = H5Dget_type(dataset);
  const bool integer = H5Tget_class(type) == H5T_INTEGER;
  H5Tclose(type);
  const std::vector<std::int64_t> shape(dims.begin(), dims.end());
  auto tensor = torch::empty(shape, integer ? torch::kInt64 : torch::kFloat64);
  H5Dread(dataset, integer ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT,
          tensor.data_ptr());
  return tensor;
}

herr_t visit_object(hid_t root, const char* name, const H5O_info_t* info, void* data) {
  if (info->type != H5O_TYPE_DATASET) return 0;
  const hid_t dataset = H5Dopen2(root, name, H5P_DEFAULT);
  (*static_cast<Visit*>(data)->tensors)[name] = read_dataset(dataset);
  H5Dclose(dataset);
  return 0;
}

struct Attributes {
  std::map<std::string, double>* numbers;
  std::map<std::string, std::string>* texts;
};

herr_t visit_attribute(hid_t location, const char* name, const H5A_info_t*, void* data) {
  const auto* out = static_cast<Attributes*>(data);
  const hid_t attribute = H5Aopen(location, name, H5P_DEFAULT);
  const hid_t type = H5Aget_type(attribute);
  if (H5Tget_class(type) == H5T_STRING) {
    if (H5Tis_variable_str(type) > 0) {
      char* text = nullptr;
      const hid_t memory = H5Tcopy(H5T_C_S1);
      H5Tset_size(memory, H5T_VARIABLE);
      H5Tset_cset(memory, H5Tget_cset(type));
      H5Aread(attribute, memory, static_cast<void*>(&text));
      (*out->texts)[name] = text == nullptr ? "" : text;
      H5free_memory(text);
      H5Tclose(memory);
    } else {
      std::string text(H5Tget_size(type), '\0');
      H5Aread(attribute, type, text.data());
      (*out->texts)[name] = text.c_str();
    }
  } else if (H5Aget_storage_size(attribute) <= sizeof(double)) {
    double value = 0;
    H5Aread(attribute, H5T_NATIVE_DOUBLE, &value);
    (*out->numbers)[name] = value;
  }
  H5Tclose(type);
  H5Aclose(attribute);
  return 0;
}

}  // namespace

GoldenFile::GoldenFile(const std::string& path) : path_(path) {
  if (!std::filesystem::exists(path))
    throw MissingInputError("golden file '" + path + "' does not exist");
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) throw DataError("'" + path + "' is not an HDF5 file");
  Visit visit{&tensors_};
  H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, visit_object, &visit, H5O_INFO_BASIC);
  Attributes attributes{&numbers_, &texts_};
  H5Aiterate2(file, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, visit_attribute, &attributes);
  H5Fclose(file);
}

torch::Tensor GoldenFile::tensor(const std::string& dataset) const {
  const auto found = tensors_.find(dataset);
  if (found == tensors_.end()) throw DataError("'" + path_ + "' has no dataset '" + dataset + "'");
  return found->second;
}

std::vector<std::string> GoldenFile::names_in(const std::string& group) const {
  std::vector<std::string> names;
  const auto prefix = group + "/";
  for (const auto& [name, tensor] : tensors_) {
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  }
  return names;
}

double GoldenFile::number(const std::string& attribute, double fallback) const {
  const auto found = numbers_.find(attribute);
  return found == numbers_.end() ? fallback : found->second;
}

double GoldenFile::number(const std::string& attribute) const {
  if (!numbers_.contains(attribute)) {
    throw DataError("'" + path_ + "' has no attribute '" + attribute + "'");
  }
  return numbers_.at(attribute);
}

std::int64_t GoldenFile::integer(const std::string& attribute, std::int64_t fallback) const {
  return static_cast<std::int64_t>(number(attribute, static_cast<double>(fallback)));
}

std::string GoldenFile::text(const std::string& attribute) const {
  const auto found = texts_.find(attribute);
  return found == texts_.end() ? "" : found->second;
}

}  // namespace gondola::golden
