#pragma once

#include <string>

namespace gondola {

/// A self-contained HTML page with the report's style sheet. `body` is HTML, `title` is text.
[[nodiscard]] std::string report_page(const std::string& title, const std::string& body);

/// A titled part of it; both are HTML.
[[nodiscard]] std::string report_section(const std::string& title, const std::string& content);

}  // namespace gondola
