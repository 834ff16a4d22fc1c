#include "monitoring/live_page.hpp"

#include <httplib.h>

#include <filesystem>
#include <live_page_parts.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "configs/errors.hpp"
#include "monitoring/live_run.hpp"
#include "monitoring/report_style.hpp"
#include "monitoring/text_file.hpp"

namespace gondola {

namespace {

/// Puts `text` in the place of `mark`, which the page has once.
std::string with(std::string page, std::string_view mark, std::string_view text) {
  return page.replace(page.find(mark), mark.size(), text);
}

/// The script between the marks that make it a template of Prometheus' consoles.
std::string_view line_chart_script() {
  const std::string_view file(kLineChartLibrary);
  const auto begin = file.find("}}") + 2;
  return file.substr(begin, file.rfind("{{") - begin);
}

/// Nothing is kept by the browser or asked of another host.
void answer(httplib::Response& response, std::string text, const char* type) {
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_content(std::move(text), type);
}

void answer_page(httplib::Response& response, std::string page) {
  response.set_header("Content-Security-Policy",
                      "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                      "img-src blob: data:; connect-src 'self'; base-uri 'none'; "
                      "form-action 'none'; frame-ancestors 'none'");
  response.set_header("Referrer-Policy", "no-referrer");
  answer(response, std::move(page), "text/html; charset=utf-8");
}

/// A file of the run folder; 404 where it is not there (yet).
void answer_file(httplib::Response& response, const std::filesystem::path& path, const char* type) {
  try {
    answer(response, path.empty() ? throw MissingInputError("no file yet") : read_text_file(path),
           type);
  } catch (const MissingInputError&) {
    response.status = 404;
    answer(response, "there is none yet\n", "text/plain");
  }
}

}  // namespace

void serve_live_page(httplib::Server& server, std::shared_ptr<const LiveRun> run) {
  const auto page =
      with(with(kLivePage, "/*style*/", kReportStyle), "/*line_chart*/", line_chart_script());
  server.Get("/", [page](const httplib::Request&, httplib::Response& response) {
    answer_page(response, page);
  });
  server.Get("/api/run", [run](const httplib::Request&, httplib::Response& response) {
    answer(response, run->json(), "application/json");
  });
  server.Get("/api/picture", [run](const httplib::Request&, httplib::Response& response) {
    answer_file(response, newest_picture(run->folder()), "image/png");
  });
  server.Get("/api/config", [run](const httplib::Request&, httplib::Response& response) {
    answer_file(response, run->folder() / "config.ini", "text/plain; charset=utf-8");
  });
}

void answer_sign_in(httplib::Response& response) {
  response.status = 401;
  response.set_header("WWW-Authenticate", "Bearer");
  answer_page(response, with(kSignInPage, "/*style*/", kReportStyle));
}

}  // namespace gondola
