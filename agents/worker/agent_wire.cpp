// See agent_wire.hpp.
#include "agents/worker/agent_wire.hpp"

namespace reeve::worker {

namespace {

template<class... Ms>
Result<FromMaster> decode_one_of(MessageType type, std::string_view body, std::variant<Ms...>*) {
  Result<FromMaster> out =
    fail(Code::unknown_type, "header.type",
         "an agent does not take messages of type " + std::to_string(static_cast<unsigned>(type)));
  const auto attempt = [&]<class M>(M*) {
    if (type != M::type)
      return false;
    auto message = decode<M>(body);
    if (message)
      out = FromMaster(std::move(*message));
    else
      out = tl::unexpected(std::move(message).error());
    return true;
  };
  (attempt(static_cast<Ms*>(nullptr)) || ...);
  return out;
}

} // namespace

Result<Incoming> decode_from_master(std::string_view header, std::string_view body) {
  auto head = decode<Header>(header);
  if (!head) {
    Error error = std::move(head).error();
    error.field = error.field.empty() ? "header" : "header." + error.field;
    return tl::unexpected(std::move(error));
  }
  if (head->version != protocol_version)
    return fail(Code::unknown_version, "header.version",
                "version " + std::to_string(head->version) + " is not spoken here, only " +
                  std::to_string(protocol_version));
  auto message = decode_one_of(head->type, body, static_cast<FromMaster*>(nullptr));
  if (!message)
    return tl::unexpected(std::move(message).error());
  return Incoming{*head, std::move(*message)};
}

std::pair<std::string, std::string> encode_to_master(const ToMaster& message, Epoch epoch) {
  return std::visit(
    [epoch]<class M>(const M& body) {
      if constexpr (std::is_same_v<M, AgentResults::Message>)
        return frames(*body, body->number, epoch);
      else
        return frames(body, 0, epoch);
    },
    message);
}

} // namespace reeve::worker
