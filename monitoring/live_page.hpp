#pragma once

#include <memory>

namespace httplib {
class Server;
struct Response;
}  // namespace httplib

namespace gondola {

class LiveRun;

/// Serves the live page of a run: `/`, one page without anything from elsewhere, which asks for
/// /api/run (LiveRun::json()), /api/picture (the newest PNG of samples) and /api/config
/// (config.ini) by itself. GET only; who may ask is the caller's business.
void serve_live_page(httplib::Server& server, std::shared_ptr<const LiveRun> run);

/// Answers `/` without the token, to a browser: a page that asks for it, keeps it in the browser's
/// session and comes back as /?token=... once.
void answer_sign_in(httplib::Response& response);

}  // namespace gondola
