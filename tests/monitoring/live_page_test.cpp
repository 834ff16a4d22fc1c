#include "monitoring/live_page.hpp"

#include <gtest/gtest.h>
#include <httplib.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "monitoring/live_run.hpp"
#include "monitoring/metrics_endpoint.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

class LivePage : public FolderTest {
 protected:
  std::unique_ptr<MetricsEndpoint> serve(const std::string& token) {
    const RunInfo info{.run = "first", .planned_steps = 50, .folder = folder()};
    return std::make_unique<MetricsEndpoint>(
        EndpointOptions{.token = token}, std::make_shared<MetricsObserver>(info),
        [] { return HealthStatus{}; }, std::make_shared<LiveRun>(info));
  }
  static httplib::Client client(const MetricsEndpoint& endpoint) {
    return httplib::Client("127.0.0.1", endpoint.port());
  }
};

TEST_F(LivePage, needs_nothing_from_elsewhere) {
  const auto open = serve("");
  const auto guarded = serve("s3cret");
  const auto page = client(*open).Get("/");
  const auto sign_in = client(*guarded).Get("/");
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(sign_in->status, 401);
  for (const auto& answer : {*page, *sign_in}) {
    EXPECT_EQ(answer.get_header_value("Content-Type"), "text/html; charset=utf-8");
    const auto policy = answer.get_header_value("Content-Security-Policy");
    EXPECT_EQ(policy.rfind("default-src 'none';", 0), 0u) << policy;
    // The SVG namespace is a name and not an address that is asked.
    const std::regex name("http://www\\.w3\\.org/2000/svg");
    const auto text = std::regex_replace(answer.body, name, "");
    EXPECT_FALSE(std::regex_search(text, std::regex("https?://|<script src|@import|url\\(")));
    for (const char* mark : {"/*style*/", "/*line_chart*/", "{{"}) {
      EXPECT_EQ(text.find(mark), std::string::npos) << mark;
    }
    EXPECT_NE(text.find("color-scheme: light dark"), std::string::npos);
  }
  EXPECT_NE(page->body.find("function drawLineChart"), std::string::npos);
  EXPECT_NE(sign_in->body.find("type=\"password\""), std::string::npos);
}

TEST_F(LivePage, gives_the_run_its_newest_picture_and_its_options) {
  const auto endpoint = serve("");
  EXPECT_EQ(client(*endpoint).Get("/api/picture")->status, 404);
  EXPECT_EQ(client(*endpoint).Get("/api/config")->status, 404);
  write("config.ini", "[trainer]\nsteps = 50\n");
  write("samples/step-00000010.png", "older");
  write("samples/step-00000020.png", "newer");
  EXPECT_EQ(client(*endpoint).Get("/api/config")->body, "[trainer]\nsteps = 50\n");
  const auto picture = client(*endpoint).Get("/api/picture");
  EXPECT_EQ(picture->body, "newer");
  EXPECT_EQ(picture->get_header_value("Content-Type"), "image/png");
  const auto run = client(*endpoint).Get("/api/run");
  EXPECT_EQ(run->get_header_value("Content-Type"), "application/json");
  EXPECT_EQ(nlohmann::json::parse(run->body)["picture_step"], 20);
}

TEST_F(LivePage, the_token_guards_every_path) {
  write("config.ini", "secret = option\n");
  write("samples/step-00000010.png", "secret picture");
  const auto endpoint = serve("s3cret");
  for (const char* path : {"/", "/api/run", "/api/picture", "/api/config"}) {
    auto browser = client(*endpoint);
    EXPECT_EQ(browser.Get(path)->status, 401) << path;
    EXPECT_EQ(browser.Get(path)->body.find("secret"), std::string::npos) << path;
    for (const char* wrong : {"s3cres", "s3cret2", "s3cre", ""}) {
      EXPECT_EQ(browser.Get(std::string(path) + "?token=" + wrong)->status, 401) << path << wrong;
      browser.set_bearer_token_auth(wrong);
      EXPECT_EQ(browser.Get(path)->status, 401) << path << wrong;
    }
    browser.set_bearer_token_auth("s3cret");
    EXPECT_EQ(browser.Get(path)->status, 200) << path;
  }
}

TEST_F(LivePage, a_browser_may_give_the_token_in_the_address_of_the_page_alone) {
  const auto endpoint = serve("s3cret");
  EXPECT_EQ(client(*endpoint).Get("/?token=s3cret")->status, 200);
  for (const char* path : {"/api/run", "/api/config", "/metrics", "/healthz"}) {
    EXPECT_EQ(client(*endpoint).Get(std::string(path) + "?token=s3cret")->status, 401) << path;
  }
}

TEST_F(LivePage, other_ranks_have_none) {
  const MetricsEndpoint endpoint({}, std::make_shared<MetricsObserver>(RunInfo{.rank = 1}),
                                 [] { return HealthStatus{}; });
  EXPECT_EQ(client(endpoint).Get("/")->status, 404);
  EXPECT_EQ(client(endpoint).Get("/api/run")->status, 404);
}

}  // namespace
}  // namespace gondola
