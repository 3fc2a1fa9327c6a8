// See server.hpp.
#include "agents/dashboard/server.hpp"

#include "agents/dashboard/assets.hpp"
#include "agents/dashboard/guard.hpp"
#include "agents/dashboard/metrics.hpp"

#include <atomic>
#include <httplib.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <spdlog/spdlog.h>

namespace reeve::dashboard {
namespace {

constexpr std::size_t body_max = 64 * 1024;
constexpr std::size_t headers_max = 64;                       // of one request
constexpr auto stream_pause = std::chrono::milliseconds(250); // between two pieces of news
constexpr auto stream_patience = std::chrono::seconds(10);    // then a sign of life
constexpr auto log_pause = std::chrono::milliseconds(300);
/// `nonce`: of the one script that is in the page itself.
std::string policy(const std::string& nonce) {
  return "default-src 'none'; script-src 'self' 'nonce-" + nonce +
         "'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
         "form-action 'none'; frame-ancestors 'none'";
}

int status_of(const Error& error) {
  switch (error.code) {
  case Code::bad_message:
  case Code::bad_field:
  case Code::too_large:
    return 400;
  case Code::not_found:
    return 404;
  case Code::refused:
  case Code::conflict:
    return 409;
  case Code::timed_out:
    return 504;
  case Code::busy:
  case Code::unavailable:
  case Code::io:
  case Code::not_leader:
    return 503;
  default:
    return 500;
  }
}

void answer_error(httplib::Response& response, const Error& error, int status = 0) {
  response.status = status != 0 ? status : status_of(error);
  if (response.status == 503 || response.status == 429)
    response.set_header("Retry-After", "1");
  const Json body{{"error", Json{{"code", std::string(name_of(error.code))},
                                 {"field", error.field},
                                 {"text", error.text}}}};
  response.set_content(dump_json(body), "application/json");
}

void answer(httplib::Response& response, const Result<Json>& result) {
  response.set_header("Cache-Control", "no-store");
  if (result)
    response.set_content(dump_json(*result), "application/json");
  else
    answer_error(response, result.error());
}

/// A pool of threads that takes no more connections than it can serve: the next one waits in the
/// kernel until a thread is free.
class BoundedQueue : public httplib::TaskQueue {
public:
  explicit BoundedQueue(std::size_t threads) : free_(threads), pool_(threads) {}
  void enqueue(std::function<void()> work) override {
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return free_ > 0; });
      --free_;
    }
    pool_.enqueue([this, work = std::move(work)] {
      work();
      {
        const std::scoped_lock lock(mutex_);
        ++free_;
      }
      room_.notify_one();
    });
  }
  void shutdown() override { pool_.shutdown(); }

private:
  std::mutex mutex_;
  std::condition_variable room_;
  std::size_t free_;
  httplib::ThreadPool pool_;
};

std::string event_text(std::string_view kind, const std::string& id, const Json& data) {
  std::string text = "event: " + std::string(kind) + "\n";
  if (!id.empty())
    text += "id: " + id + "\n";
  return text + "data: " + dump_json(data) + "\n\n"; // JSON has no line ends
}

std::string place_text(const Event& event) {
  return std::to_string(event.seq.value) + "." + std::to_string(event.part);
}

Json events_json(const std::vector<Event>& events) {
  Json list = Json::array();
  for (const auto& event : events)
    list.push_back(to_json(event));
  return list;
}

} // namespace

struct Server::Impl {
  Impl(const Options& o, Masters& m, Feed& f)
      : options(o), masters(m), feed(f), api(m),
        rate(o.requests_per_second, 10.0 * o.requests_per_second),
        requests(prometheus::BuildCounter()
                   .Name("reeve_dashboard_http_requests_total")
                   .Help("Requests answered, by status class.")
                   .Register(registry)),
        streams_gauge(prometheus::BuildGauge()
                        .Name("reeve_dashboard_live_streams")
                        .Help("Live pages and followed outputs that are open.")
                        .Register(registry)
                        .Add({})),
        events_counter(prometheus::BuildCounter()
                         .Name("reeve_dashboard_events_total")
                         .Help("Events read from the master since this program's start.")
                         .Register(registry)
                         .Add({})) {}

  using Handler = Result<Json> (Impl::*)(const httplib::Request&);
  void get(const char* path, std::function<Result<Json>(const httplib::Request&)> handler) {
    http.Get(path, [handler = std::move(handler)](const auto& request, auto& response) {
      answer(response, handler(request));
    });
  }
  /// For one question: its parameters read, then answered.
  template<class W>
  void get(const char* path, Result<W> (*read)(const Parameters&),
           Result<Json> (Api::*ask)(const W&)) {
    get(path, [this, read, ask](const httplib::Request& request) -> Result<Json> {
      auto wanted = read(request.params);
      if (!wanted)
        return tl::unexpected<Error>(wanted.error());
      return (api.*ask)(*wanted);
    });
  }

  void add_routes();
  void add_page();
  void add_streams();
  httplib::Server::HandlerResponse admit(const httplib::Request& request,
                                         httplib::Response& response);
  Result<Json> act(const httplib::Request& request);
  std::string metrics();
  bool open_stream(httplib::Response& response);
  void stream_events(const httplib::Request& request, httplib::Response& response);
  void stream_log(const httplib::Request& request, httplib::Response& response);

  const Options options;
  Masters& masters;
  Feed& feed;
  Api api;
  std::string host;
  int port = 0;
  std::optional<KnownHosts> hosts;
  const std::string token = random_token();
  std::mutex rate_mutex;
  RateLimit rate; // guarded by rate_mutex
  std::atomic<std::uint32_t> streams{0};
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests;
  prometheus::Gauge& streams_gauge;
  prometheus::Counter& events_counter;
  httplib::Server http;
};

httplib::Server::HandlerResponse Server::Impl::admit(const httplib::Request& request,
                                                     httplib::Response& response) {
  using Response = httplib::Server::HandlerResponse;
  bool admitted = false;
  {
    const std::scoped_lock lock(rate_mutex);
    admitted = rate.admit(request.remote_addr, std::chrono::steady_clock::now());
  }
  if (!admitted) {
    answer_error(response, {Code::busy, {}, "too many requests from this address"}, 429);
    return Response::Handled;
  }
  if (request.headers.size() > headers_max) {
    answer_error(response, {Code::too_large, {}, "too many headers"}, 431);
    return Response::Handled;
  }
  // Metrics are read by name or address alike; everything else only under a name that is ours, or a
  // page elsewhere could read us by giving its own name our address.
  if (request.path != "/metrics" && !hosts->knows(request.get_header_value("Host"))) {
    answer_error(response, {Code::refused, "Host", "not a name of this server; see --host"}, 421);
    return Response::Handled;
  }
  return Response::Unhandled;
}

Result<Json> Server::Impl::act(const httplib::Request& request) {
  if (options.read_only)
    return fail(Code::refused, {}, "this dashboard is read-only");
  const Sender sender{request.get_header_value("Host"), request.get_header_value("Origin"),
                      request.get_header_value("Sec-Fetch-Site"),
                      request.get_header_value("Content-Type"),
                      request.get_header_value("X-Reeve-Token")};
  if (auto good = check_sender(sender, token); !good)
    return tl::unexpected<Error>(good.error());
  auto action = action_wanted(request.body);
  if (!action)
    return tl::unexpected<Error>(action.error());
  auto done = api.act(*action);
  spdlog::info("{}: {}: {}", request.remote_addr, request.body.substr(0, 500),
               done ? "done" : done.error().message());
  return done;
}

std::string Server::Impl::metrics() {
  Observed observed;
  if (auto stats = masters.ask(GetStats{})) {
    observed.stats = std::move(*stats);
    if (auto status = masters.ask(GetMaster{}))
      observed.master = std::move(*status);
  }
  const auto seen = static_cast<double>(feed.events_seen());
  if (seen > events_counter.Value())
    events_counter.Increment(seen - events_counter.Value());
  auto all = families(observed);
  for (auto& family : registry.Collect())
    all.push_back(std::move(family));
  return metrics_text(all);
}

void Server::Impl::add_routes() {
  http.Get("/healthz",
           [](const auto&, auto& response) { response.set_content("ok\n", "text/plain"); });
  http.Get("/metrics", [this](const auto&, auto& response) {
    response.set_content(metrics(), "text/plain; version=0.0.4; charset=utf-8");
  });
  get("/api/session", [this](const auto&) -> Result<Json> {
    return Json{{"token", token}, {"read_only", options.read_only}};
  });
  get("/api/overview", [this](const auto&) -> Result<Json> {
    const auto stats = masters.ask(GetStats{});
    if (!stats)
      return tl::unexpected<Error>(stats.error());
    Json out = figures_json(stats, masters.ask(GetMaster{}));
    out["events"] = events_json(feed.newest(60));
    return out;
  });
  get("/api/events", [this](const auto&) -> Result<Json> {
    return Json{{"events", events_json(feed.newest(1'000))}};
  });
  get("/api/nodes", &nodes_wanted, &Api::nodes);
  get("/api/heat", [this](const auto& request) {
    return api.heat(request.get_param_value("known").substr(0, 32));
  });
  get("/api/node", [this](const auto& request) -> Result<Json> {
    if (!request.has_param("name"))
      return fail(Code::bad_field, "name", "is missing");
    return api.node(request.get_param_value("name").substr(0, 256));
  });
  get("/api/jobs", &jobs_wanted, &Api::jobs);
  get("/api/job", [this](const auto& request) -> Result<Json> {
    const auto wanted = explain_wanted(request.params);
    if (!wanted)
      return tl::unexpected<Error>(wanted.error());
    return api.job(wanted->job);
  });
  get("/api/tasks", &tasks_wanted, &Api::tasks);
  get("/api/task", [this](const auto& request) -> Result<Json> {
    const auto wanted = explain_wanted(request.params);
    if (!wanted)
      return tl::unexpected<Error>(wanted.error());
    return api.task(wanted->job, wanted->index);
  });
  get("/api/explain", &explain_wanted, &Api::explain);
  get("/api/queues", [this](const auto&) { return api.queues(); });
  get("/api/history", &history_wanted, &Api::history);
  get("/api/log", &log_wanted, &Api::log);
  http.Post("/api/act", [this](const httplib::Request& request, httplib::Response& response) {
    answer(response, act(request));
  });
}

void Server::Impl::add_page() {
  for (const Asset& asset : assets())
    http.Get(std::string(asset.path), [&asset](const auto&, auto& response) {
      constexpr std::string_view mark = "NONCE";
      const std::string nonce = random_token();
      std::string content(asset.content);
      if (asset.path == "/") // the only one that names it
        if (const auto at = content.find(mark); at != std::string::npos)
          content.replace(at, mark.size(), nonce);
      response.set_header("Content-Security-Policy", policy(nonce));
      response.set_header("Cache-Control", "no-cache");
      response.set_content(std::move(content), std::string(asset.type));
    });
}

bool Server::Impl::open_stream(httplib::Response& response) {
  if (streams.fetch_add(1) >= options.connections / 2) {
    streams.fetch_sub(1);
    answer_error(response, {Code::busy, {}, "too many live pages"}, 503);
    return false;
  }
  streams_gauge.Set(streams.load());
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Accel-Buffering", "no");
  return true;
}

void Server::Impl::stream_events(const httplib::Request& request, httplib::Response& response) {
  std::string from = request.get_header_value("Last-Event-ID");
  if (from.empty() && request.has_param("from"))
    from = request.get_param_value("from").substr(0, 64);
  std::optional<std::pair<Seq, std::uint32_t>> wanted;
  if (!from.empty()) {
    auto parsed = place_wanted(from);
    if (!parsed)
      return answer_error(response, parsed.error());
    wanted = *parsed;
  }
  if (!open_stream(response))
    return;
  struct State {
    explicit State(Feed& f) : watching(f) {}
    Feed::Watching watching;
    Feed::Place place;
    bool gap = false, begun = false;
  };
  auto state = std::make_shared<State>(feed);
  if (wanted) {
    if (auto place = feed.behind(wanted->first, wanted->second))
      state->place = *place;
    else
      state->gap = true;
  }
  response.set_chunked_content_provider(
    "text/event-stream",
    [this, state](std::size_t, httplib::DataSink& sink) {
      std::string text;
      if (!state->begun) {
        state->begun = true;
        text = "retry: 1000\n\n";
        if (state->gap)
          text += event_text("gap", "", Json::object());
      } else {
        const auto began = std::chrono::steady_clock::now();
        if (const auto news = feed.next(state->place, stream_patience)) {
          Json data{{"events", events_json(news->events)},
                    {"skipped", news->skipped},
                    {"jobs", to_json(news->jobs)},
                    {"nodes", news->nodes}};
          if (news->figures)
            data["figures"] = *news->figures;
          text =
            event_text("tick", news->events.empty() ? "" : place_text(news->events.back()), data);
          std::this_thread::sleep_until(began + stream_pause);
        } else {
          text = ": still here\n\n";
        }
      }
      if (feed.stopped())
        return false;
      return sink.write(text.data(), text.size());
    },
    [this](bool) { streams_gauge.Set(streams.fetch_sub(1) - 1); });
}

/// Output of one attempt as it is written: pieces as /api/log gives them, until it has ended.
void Server::Impl::stream_log(const httplib::Request& request, httplib::Response& response) {
  const auto wanted = log_wanted(request.params);
  if (!wanted)
    return answer_error(response, wanted.error());
  if (!open_stream(response))
    return;
  auto read = std::make_shared<ReadLog>(*wanted);
  auto ended = std::make_shared<bool>(false);
  response.set_chunked_content_provider(
    "text/event-stream",
    [this, read, ended](std::size_t, httplib::DataSink& sink) {
      if (*ended || feed.stopped()) {
        sink.done();
        return true;
      }
      const auto chunk = masters.ask(*read);
      std::string text = ": still here\n\n";
      if (!chunk) {
        *ended = true;
        text = event_text("trouble", "", Json{{"text", chunk.error().message()}});
      } else {
        const std::uint64_t next = chunk->offset + chunk->data.data.size();
        *ended = chunk->ended && (chunk->data.data.empty() || next >= chunk->written);
        if (!chunk->data.data.empty() || *ended)
          text = event_text("piece", "",
                            Json{{"text", chunk->data.data},
                                 {"dropped", chunk->offset - read->offset},
                                 {"next", next},
                                 {"ended", *ended},
                                 {"written", chunk->written}});
        read->offset = std::max(read->offset, next);
        if (chunk->data.data.empty() && !*ended)
          std::this_thread::sleep_for(log_pause);
      }
      return sink.write(text.data(), text.size());
    },
    [this](bool) { streams_gauge.Set(streams.fetch_sub(1) - 1); });
}

Server::Server(const Options& options, Masters& masters, Feed& feed)
    : impl_(std::make_unique<Impl>(options, masters, feed)) {
  Impl& i = *impl_;
  i.http.new_task_queue = [n = options.connections] { return new BoundedQueue(n); };
  i.http.set_payload_max_length(body_max);
  i.http.set_keep_alive_max_count(100);
  i.http.set_keep_alive_timeout(2); // an idle connection holds a thread
  i.http.set_read_timeout(5);
  i.http.set_write_timeout(5);
  i.http.set_tcp_nodelay(true);
  i.http.set_default_headers({{"X-Content-Type-Options", "nosniff"},
                              {"X-Frame-Options", "DENY"},
                              {"Referrer-Policy", "no-referrer"},
                              {"Cross-Origin-Resource-Policy", "same-origin"}});
  i.http.set_pre_routing_handler(
    [&i](const auto& request, auto& response) { return i.admit(request, response); });
  i.http.set_error_handler([](const auto&, auto& response) {
    if (response.body.empty())
      answer_error(response,
                   {response.status == 404 ? Code::not_found : Code::bad_message,
                    {},
                    response.status == 404   ? "no such page"
                    : response.status == 413 ? "the body is too large"
                                             : "the request could not be read"},
                   response.status);
  });
  i.http.set_exception_handler([](const auto& request, auto& response, std::exception_ptr) {
    spdlog::error("{}: an exception", request.path);
    answer_error(response, {Code::internal, {}, "a fault of ours"}, 500);
  });
  i.http.set_logger([&i](const auto& request, const auto& response) {
    i.requests.Add({{"status", std::to_string(response.status / 100) + "xx"}}).Increment();
    spdlog::debug("{} {} {} {}", request.remote_addr, request.method, request.target,
                  response.status);
  });
  i.add_routes();
  i.add_page();
  i.http.Get("/api/live",
             [&i](const auto& request, auto& response) { i.stream_events(request, response); });
  i.http.Get("/api/follow",
             [&i](const auto& request, auto& response) { i.stream_log(request, response); });
}

Server::~Server() = default;

Result<void> Server::bind() {
  Impl& i = *impl_;
  const auto listen = parse_listen(i.options.listen);
  if (!listen)
    return tl::unexpected<Error>(listen.error());
  std::tie(i.host, i.port) = *listen;
  if (i.port == 0) {
    i.port = i.http.bind_to_any_port(i.host);
    if (i.port <= 0)
      return fail(Code::io, "--listen", "cannot listen on " + i.options.listen);
  } else if (!i.http.bind_to_port(i.host, i.port)) {
    return fail(Code::io, "--listen", "cannot listen on " + i.options.listen);
  }
  i.hosts.emplace(i.host, i.port, i.options.hosts);
  return {};
}

std::string Server::url() const {
  const bool six = impl_->host.find(':') != std::string::npos;
  return "http://" + (six ? "[" + impl_->host + "]" : impl_->host) + ":" +
         std::to_string(impl_->port);
}

void Server::run() {
  impl_->http.listen_after_bind();
}

void Server::stop() {
  impl_->feed.stop();
  impl_->http.stop();
}

} // namespace reeve::dashboard
