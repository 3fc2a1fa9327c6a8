// etcd over gRPC. Calls are asynchronous on a completion queue of their own, so that each has its
// deadline and none holds up another's. See etcd_kv.hpp. The only file that includes gRPC.
#include "src/journal/etcd_kv.hpp"

#include <atomic>
#include <etcd/etcdserver/etcdserverpb/rpc.pb.h>
#include <fstream>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <sstream>

namespace reeve::journal::etcd {
namespace {

namespace pb = etcdserverpb;

constexpr Duration upkeep_patience = std::chrono::seconds(5);

pb::RequestOp to_pb(const Op& op, bool local) {
  pb::RequestOp out;
  if (const auto* put = std::get_if<Put>(&op)) {
    out.mutable_request_put()->set_key(put->key);
    out.mutable_request_put()->set_value(put->value);
  } else if (const auto* get = std::get_if<Get>(&op)) {
    auto* range = out.mutable_request_range();
    range->set_key(get->key);
    range->set_range_end(get->end);
    range->set_limit(get->limit);
    range->set_keys_only(get->keys_only);
    range->set_serializable(local);
    if (get->newest) {
      range->set_sort_order(pb::RangeRequest::DESCEND);
      range->set_sort_target(pb::RangeRequest::KEY);
    }
  } else {
    const auto& gone = std::get<Delete>(op);
    out.mutable_request_delete_range()->set_key(gone.key);
    out.mutable_request_delete_range()->set_range_end(gone.end);
  }
  return out;
}

pb::TxnRequest to_pb(const Txn& txn) {
  pb::TxnRequest out;
  for (const Compare& compare : txn.when) {
    auto* to = out.add_compare();
    to->set_result(pb::Compare::EQUAL);
    to->set_key(compare.key);
    if (compare.what == Compare::created) {
      to->set_target(pb::Compare::CREATE);
      to->set_create_revision(compare.revision);
    } else {
      to->set_target(pb::Compare::MOD);
      to->set_mod_revision(compare.revision);
    }
  }
  for (const Op& op : txn.then)
    *out.add_success() = to_pb(op, txn.local);
  for (const Op& op : txn.otherwise)
    *out.add_failure() = to_pb(op, txn.local);
  return out;
}

Answer from_pb(pb::TxnResponse& response) {
  Answer answer;
  answer.succeeded = response.succeeded();
  answer.revision = response.header().revision();
  for (auto& one : *response.mutable_responses()) {
    auto& found = answer.found.emplace_back();
    if (!one.has_response_range())
      continue;
    answer.more = answer.more || one.response_range().more();
    for (auto& kv : *one.mutable_response_range()->mutable_kvs())
      found.push_back(
        {std::move(*kv.mutable_key()), std::move(*kv.mutable_value()), kv.mod_revision()});
  }
  return answer;
}

/// What never reached etcd's log is told apart from what may have.
Error error_of(const grpc::Status& status, const std::string& endpoint) {
  const std::string text = "etcd at " + endpoint + ": " + status.error_message();
  switch (status.error_code()) {
  case grpc::StatusCode::RESOURCE_EXHAUSTED:
    if (text.find("space exceeded") != std::string::npos)
      return {Code::busy, {}, text + " (its quota is used up)"};
    return {Code::timed_out, {}, text};
  case grpc::StatusCode::INVALID_ARGUMENT:
  case grpc::StatusCode::PERMISSION_DENIED:
  case grpc::StatusCode::UNAUTHENTICATED:
  case grpc::StatusCode::UNIMPLEMENTED:
  case grpc::StatusCode::OUT_OF_RANGE:
    return {Code::refused, {}, text};
  default:
    return {Code::timed_out, {}, text};
  }
}

class GrpcKv final : public Kv {
public:
  struct Member {
    std::string endpoint;
    std::shared_ptr<grpc::Channel> channel;
  };
  explicit GrpcKv(std::vector<Member> members) : members_(std::move(members)) {}

  Result<Answer> txn(const Txn& txn, Duration patience) override {
    auto response =
      call<pb::TxnRequest, pb::TxnResponse>("/etcdserverpb.KV/Txn", to_pb(txn), patience);
    if (!response)
      return tl::unexpected<Error>(std::move(response).error());
    return from_pb(*response);
  }

  Result<void> compact(std::int64_t revision) override {
    pb::CompactionRequest request;
    request.set_revision(revision);
    auto response = call<pb::CompactionRequest, pb::CompactionResponse>("/etcdserverpb.KV/Compact",
                                                                        request, upkeep_patience);
    if (!response && response.error().code != Code::refused) // refused: was compacted already
      return tl::unexpected<Error>(std::move(response).error());
    return {};
  }

  Result<Space> space() override {
    auto response = call<pb::StatusRequest, pb::StatusResponse>("/etcdserverpb.Maintenance/Status",
                                                                {}, upkeep_patience);
    if (!response)
      return tl::unexpected<Error>(std::move(response).error());
    return Space{static_cast<std::uint64_t>(response->dbsize()),
                 static_cast<std::uint64_t>(response->dbsizeinuse())};
  }

private:
  template<class Request, class Response>
  Result<Response> call(const std::string& method, const Request& request, Duration patience) {
    const std::size_t at = current_.load() % members_.size();
    const Member& member = members_[at];
    grpc::TemplatedGenericStub<Request, Response> stub(member.channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + patience);
    grpc::CompletionQueue queue;
    Response response;
    grpc::Status status;
    auto reader = stub.PrepareUnaryCall(&context, method, request, &queue);
    reader->StartCall();
    reader->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    if (status.ok())
      return response;
    const Error error = error_of(status, member.endpoint);
    if (error.code == Code::timed_out) { // only one of those that failed there moves on
      std::size_t expected = at;
      current_.compare_exchange_strong(expected, (at + 1) % members_.size());
    }
    return tl::unexpected<Error>(error);
  }

  std::vector<Member> members_;
  std::atomic<std::size_t> current_{0};
};

Result<std::string> file_content(const std::string& path, const char* option) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file)
    return fail(Code::bad_field, option, "cannot read " + path);
  return text.str();
}

} // namespace

Result<std::unique_ptr<Kv>> connect_etcd(const std::vector<std::string>& endpoints,
                                         const Tls& tls) {
  if (endpoints.empty())
    return fail(Code::bad_field, "--journal", "names no etcd member");
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!tls.ca.empty()) {
    grpc::SslCredentialsOptions options;
    for (const auto& [path, option, to] :
         {std::tuple{&tls.ca, "--etcd-ca", &options.pem_root_certs},
          std::tuple{&tls.certificate, "--etcd-cert", &options.pem_cert_chain},
          std::tuple{&tls.key, "--etcd-key", &options.pem_private_key}}) {
      if (path->empty())
        continue;
      auto content = file_content(*path, option);
      if (!content)
        return tl::unexpected<Error>(std::move(content).error());
      *to = std::move(*content);
    }
    credentials = grpc::SslCredentials(options);
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // So long a connection may take to be made; on a busy machine less was never enough.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  std::vector<GrpcKv::Member> members;
  for (const std::string& endpoint : endpoints)
    members.push_back({endpoint, grpc::CreateCustomChannel(endpoint, credentials, arguments)});
  return std::make_unique<GrpcKv>(std::move(members));
}

} // namespace reeve::journal::etcd
