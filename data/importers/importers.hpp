#pragma once

#include <memory>
#include <span>
#include <string>

#include "data/importers/import_source.hpp"

namespace gondola {

/// A format that can be imported.
struct Importer {
  const char* name;     ///< As on the command line.
  const char* summary;  ///< Of a few words, for the help.
  std::unique_ptr<ImportSource> (*open)(const SourceOptions& options);
};

/// All of them, in the order of their names.
[[nodiscard]] std::span<const Importer> importers();

/// @throws ConfigError naming the nearest where there is none of this name
[[nodiscard]] const Importer& importer(const std::string& name);

}  // namespace gondola
