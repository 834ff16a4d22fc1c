#pragma once

#include <exception>
#include <string>

#include "configs/errors.hpp"

namespace gondola {

/// What the program returns for an error that reached main: the code of an Error, 70 for others.
[[nodiscard]] ExitCode exit_code_of(const std::exception& error) noexcept;

/// What it says then: the error's own text, and the cure where memory is out.
[[nodiscard]] std::string sentence_of(const std::exception& error);

}  // namespace gondola
