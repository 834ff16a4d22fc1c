#include "monitoring/metrics_endpoint.hpp"

#include <httplib.h>
#include <openssl/crypto.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "configs/errors.hpp"
#include "monitoring/bounded_server.hpp"
#include "monitoring/live_page.hpp"
#include "monitoring/live_run.hpp"
#include "monitoring/run_name.hpp"
#include "monitoring/text_file.hpp"

namespace gondola {

namespace {

constexpr int kLastPort = 65535;

/// Takes as long for any text of that length.
bool same(const std::string& given, const std::string& wanted) {
  return given.size() == wanted.size() &&
         CRYPTO_memcmp(given.data(), wanted.data(), wanted.size()) == 0;
}

/// Whether the request carries the token.
bool authorized(const httplib::Request& request, const std::string& token) {
  if (token.empty() || same(request.get_header_value("Authorization"), "Bearer " + token)) {
    return true;
  }
  return request.path == "/" && same(request.get_param_value("token"), token);
}

std::string health_json(const HealthStatus& health) {
  return nlohmann::ordered_json{{"rank", health.rank},
                                {"step", health.step},
                                {"sequence", health.sequence},
                                {"inside", health.inside},
                                {"seconds_inside", health.seconds_inside},
                                {"status", health.status}}
             .dump() +
         "\n";
}

/// The name others may use for a socket bound to `bind`.
std::string reachable_host(const std::string& bind) {
  if (bind != "0.0.0.0" && bind != "::") return bind;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return bind;
  return name.data();
}

/// The library's default shares a port between processes (SO_REUSEPORT): a taken port would go
/// unnoticed.
void demand_a_port_of_its_own(httplib::Server& server) {
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
}

/// Only reading is served. @return whether `response` is the answer.
bool refuse_other_methods(const httplib::Request& request, httplib::Response& response) {
  if (request.method == "GET" || request.method == "HEAD") return false;
  response.status = 405;
  response.set_header("Allow", "GET, HEAD");
  response.set_content("only GET and HEAD are served\n", "text/plain");
  return true;
}

}  // namespace

MetricsEndpoint::MetricsEndpoint(const EndpointOptions& options,
                                 std::shared_ptr<const prometheus::Collectable> metrics,
                                 std::function<HealthStatus()> health,
                                 std::shared_ptr<const LiveRun> live)
    : server_(std::make_unique<BoundedServer>()), host_(reachable_host(options.bind)) {
  demand_a_port_of_its_own(*server_);
  server_->set_pre_routing_handler([token = options.token, page = live != nullptr](
                                       const httplib::Request& request,
                                       httplib::Response& response) {
    if (authorized(request, token)) {
      return refuse_other_methods(request, response) ? httplib::Server::HandlerResponse::Handled
                                                     : httplib::Server::HandlerResponse::Unhandled;
    }
    if (page && request.path == "/") {
      answer_sign_in(response);
      return httplib::Server::HandlerResponse::Handled;
    }
    response.status = 401;
    response.set_header("WWW-Authenticate", "Bearer");
    response.set_content("a bearer token is needed\n", "text/plain");
    return httplib::Server::HandlerResponse::Handled;
  });
  if (live) serve_live_page(*server_, std::move(live));
  server_->Get("/metrics", [metrics = std::move(metrics)](const httplib::Request&,
                                                          httplib::Response& response) {
    response.set_content(prometheus::TextSerializer().Serialize(metrics->Collect()),
                         "text/plain; version=0.0.4; charset=utf-8");
  });
  server_->Get("/healthz",
               [health = std::move(health)](const httplib::Request&, httplib::Response& response) {
                 response.set_content(health_json(health()), "application/json");
               });

  errno = 0;
  if (options.port > kLastPort) {
    throw IoError("the metrics endpoint cannot listen on port " + std::to_string(options.port) +
                  ", for ports end at " + std::to_string(kLastPort) +
                  ": choose a lower --monitoring.port, to which each rank of a node adds its "
                  "number, or 0, any free one");
  }
  if (options.port == 0) {
    port_ = server_->bind_to_any_port(options.bind);
  } else {
    port_ = server_->bind_to_port(options.bind, options.port) ? options.port : -1;
  }
  if (port_ <= 0) {
    throw IoError("the metrics endpoint cannot listen on " + options.bind + " port " +
                  std::to_string(options.port) +
                  (errno != 0 ? std::string(" (") + std::strerror(errno) + ")" : "") +
                  ": choose another with --monitoring.port (0: any free one) or --monitoring.bind");
  }
  server_->widen_queue();
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  // stop() only stops a server that runs.
  while (!server_->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

MetricsEndpoint::~MetricsEndpoint() {
  server_->stop();
  thread_.join();
}

EndpointAttempt try_start_endpoint(const EndpointOptions& options,
                                   std::shared_ptr<const prometheus::Collectable> metrics,
                                   std::function<HealthStatus()> health,
                                   std::shared_ptr<const LiveRun> live) {
  try {
    return {std::make_unique<MetricsEndpoint>(options, std::move(metrics), std::move(health),
                                              std::move(live)),
            ""};
  } catch (const IoError& error) {
    return {nullptr, std::string(error.what()) + "; training goes on without it"};
  }
}

std::string read_token_file(const std::filesystem::path& path) {
  const std::string where = "--monitoring.token_file: ";
  const std::string cure = "; name a file that holds the bearer token and that you may read";
  std::string text;
  try {
    text = read_text_file(path);
  } catch (const MissingInputError& error) {
    throw MissingInputError(where + error.what() + cure);
  } catch (const IoError& error) {
    throw IoError(where + error.what() + cure);
  }
  const auto line = text.substr(0, text.find('\n'));
  const auto first = line.find_first_not_of(" \t\r");
  if (first == std::string::npos) {
    throw ConfigError("the first line of the token file " + path.string() +
                      " (--monitoring.token_file) is empty: write the bearer token there");
  }
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

void write_targets_json(const std::filesystem::path& run_folder,
                        const std::vector<ScrapeTarget>& targets, const std::string& ended) {
  auto groups = nlohmann::ordered_json::array();
  for (const auto& target : targets) {
    const bool ipv6 = target.host.find(':') != std::string::npos;
    const auto host = ipv6 ? "[" + target.host + "]" : target.host;
    nlohmann::ordered_json labels = {{"run", run_name(run_folder)},
                                     {"rank", std::to_string(target.rank)}};
    if (!ended.empty()) labels["ended"] = ended;
    groups.push_back({{"targets", {host + ":" + std::to_string(target.port)}}, {"labels", labels}});
  }
  const auto folder = run_folder / "prometheus";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw IoError("cannot create the folder " + folder.string() + ": " + error.message());
  }
  // A folder's name need not be UTF-8.
  const auto text = groups.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  write_text_file(folder / "targets.json", text + "\n");
}

}  // namespace gondola
