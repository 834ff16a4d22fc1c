#include "data/importers/importers.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "configs/errors.hpp"
#include "configs/nearest_name.hpp"
#include "data/importers/celeba.hpp"
#include "data/importers/cifar10.hpp"
#include "data/importers/coil20.hpp"
#include "data/importers/hdf5.hpp"
#include "data/importers/idx.hpp"
#include "data/importers/images.hpp"
#include "data/importers/lsun.hpp"
#include "data/importers/norb.hpp"

namespace gondola {
namespace {

constexpr std::array kImporters = {
    Importer{"celeba", "CelebA's aligned faces: folder, tar or zip, and the partition list",
             open_celeba},
    Importer{"cifar10", "CIFAR-10, binary version: folder, .bin, .bin.xz or .tar.gz", open_cifar10},
    Importer{"coil20", "COIL-20: folder, tar or zip of obj<i>__<j>.png", open_coil20},
    Importer{"hdf5", "images of another program's HDF5 file", open_hdf5},
    Importer{"idx", "MNIST, Fashion-MNIST: IDX files, gzipped or not", open_idx},
    Importer{"images", "any JPEG, PNG and WebP files: folder, tar or zip", open_images},
    Importer{"lsun", "LSUN: LMDB folders", open_lsun},
    Importer{"norb", "Small NORB: .mat files, gzipped or not", open_norb}};

}  // namespace

std::span<const Importer> importers() { return kImporters; }

const Importer& importer(const std::string& name) {
  const auto found = std::find_if(kImporters.begin(), kImporters.end(),
                                  [&](const Importer& one) { return one.name == name; });
  if (found != kImporters.end()) return *found;
  std::vector<std::string> names;
  std::string list;
  for (const Importer& one : kImporters) {
    names.emplace_back(one.name);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  const std::string meant = did_you_mean(name, names);
  throw ConfigError("the format '" + name + "' is not known" +
                    (meant.empty() ? "; the formats are " + list : meant));
}

}  // namespace gondola
