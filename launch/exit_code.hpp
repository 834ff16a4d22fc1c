#pragma once

#include <exception>

#include "configs/errors.hpp"

namespace gondola {

/// What the program returns for an error that reached main: the code of an Error, 70 for others.
[[nodiscard]] ExitCode exit_code_of(const std::exception& error) noexcept;

}  // namespace gondola
