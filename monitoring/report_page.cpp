#include "monitoring/report_page.hpp"

#include "monitoring/report_style.hpp"
#include "monitoring/svg_chart.hpp"

namespace gondola {

std::string report_page(const std::string& title, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>" +
         escape_html(title) + " - Gondola</title><style>" + kReportStyle +
         "</style></head><body>\n" + body + "</body></html>\n";
}

std::string report_section(const std::string& title, const std::string& content) {
  return "<section><h2>" + title + "</h2>\n" + content + "</section>\n";
}

}  // namespace gondola
