#include "trainer/checkpoint/weight_formats.hpp"

#include <ATen/core/Dict.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "data/hdf5_attributes.hpp"
#include "data/hdf5_handle.hpp"
#include "data/hdf5_memory_file.hpp"
#include "trainer/tensor_bytes.hpp"

namespace gondola {

std::vector<std::uint8_t> as_safetensors(const NamedTensors& tensors,
                                         const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.scalar_type() == torch::kFloat64 ? "F64" : "F32"},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {bytes, bytes + tensor.nbytes()}}};
    bytes += tensor.nbytes();
  }
  // Paths may hold any bytes, JSON may not.
  auto text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the tensors are aligned
  const std::uint64_t length = text.size();
  std::vector<std::uint8_t> file(sizeof(length) + text.size() + bytes);
  for (std::size_t i = 0; i < sizeof(length); ++i) {
    file[i] = static_cast<std::uint8_t>(length >> (8 * i));
  }
  std::memcpy(file.data() + sizeof(length), text.data(), text.size());
  auto* out = file.data() + sizeof(length) + text.size();
  for (const auto& [name, tensor] : tensors) {
    std::memcpy(out, tensor.data_ptr(), tensor.nbytes());
    out += tensor.nbytes();
  }
  return file;
}

std::vector<std::uint8_t> as_torch_file(const NamedTensors& tensors) {
  c10::Dict<std::string, torch::Tensor> dictionary;
  for (const auto& [name, tensor] : tensors) dictionary.insert(name, tensor);
  // A dictionary without the type tag that TorchScript adds and safe loading refuses.
  std::string pickle;
  torch::jit::Pickler pickler(
      [&](const char* bytes, std::size_t size) { pickle.append(bytes, size); },
      /*tensor_table=*/nullptr, /*type_renamer=*/nullptr,
      /*memoized_class_types=*/nullptr, /*get_tensor_id=*/nullptr,
      /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(dictionary);
  pickler.stop();

  std::vector<std::uint8_t> file;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* bytes, std::size_t size) {
    const auto* first = static_cast<const std::uint8_t*>(bytes);
    file.insert(file.end(), first, first + size);
    return size;
  });
  writer.writeRecord("data.pkl", pickle.data(), pickle.size());
  std::size_t number = 0;
  for (const auto& tensor : pickler.tensorData()) {
    writer.writeRecord("data/" + std::to_string(number++), tensor.storage().data(),
                       tensor.storage().nbytes());
  }
  writer.writeEndOfFile();
  return file;
}

std::vector<std::uint8_t> as_hdf5(const NamedTensors& tensors,
                                  const std::map<std::string, std::string>& metadata) {
  const auto write = [&](hid_t file) {
    for (const auto& [name, value] : metadata) hdf5::write_attribute(file, name.c_str(), value);
    for (const auto& [name, tensor] : tensors) {
      const auto type =
          tensor.scalar_type() == torch::kFloat64 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
      hdf5::write_raw_dataset(file, name, type, tensor.data_ptr(), tensor.sizes());
    }
  };
  std::vector<hdf5::Bytes> lasting;
  for (const auto& [name, tensor] : tensors) lasting.push_back(bytes_of(tensor));
  const hdf5::MemoryFile made("export", write, std::move(lasting));
  std::vector<std::uint8_t> file;
  for (const auto piece : made.pieces()) file.insert(file.end(), piece.begin(), piece.end());
  return file;
}

}  // namespace gondola
