# `reeve_etcd_proto`: etcd's messages (package golang-etcd-server-dev), generated at build time. A library of its own, without our
# warnings and hardly optimised: it is large, and only the etcd journal uses it. gRPC itself needs no generated code (TemplatedGenericStub).
set(gocode /usr/share/gocode/src)
set(etcd_root ${gocode}/go.etcd.io/etcd)
set(googleapis ${gocode}/github.com/grpc-ecosystem/grpc-gateway/third_party/googleapis)
if(NOT EXISTS ${etcd_root}/etcdserver/etcdserverpb/rpc.proto)
  message(FATAL_ERROR "etcd's .proto files are missing: install golang-etcd-server-dev (make deps)")
endif()
find_package(Protobuf REQUIRED)
pkg_check_modules(GRPCPP REQUIRED IMPORTED_TARGET grpc++)

set(out ${PROJECT_BINARY_DIR}/generated/etcd)
file(MAKE_DIRECTORY ${out}/include)
file(CREATE_LINK ${etcd_root} ${out}/include/etcd SYMBOLIC) # the files import each other as etcd/…
set(protos etcd/etcdserver/etcdserverpb/rpc etcd/mvcc/mvccpb/kv etcd/auth/authpb/auth gogoproto/gogo google/api/annotations google/api/http)
set(inputs ${protos})
set(sources ${protos})
list(TRANSFORM inputs APPEND .proto)
list(TRANSFORM sources PREPEND ${out}/)
set(headers ${sources})
list(TRANSFORM sources APPEND .pb.cc)
list(TRANSFORM headers APPEND .pb.h)
add_custom_command(OUTPUT ${sources} ${headers}
  COMMAND ${Protobuf_PROTOC_EXECUTABLE} -I ${out}/include -I ${gocode}/github.com/gogo/protobuf -I ${googleapis} --cpp_out=${out} ${inputs}
  DEPENDS ${etcd_root}/etcdserver/etcdserverpb/rpc.proto VERBATIM COMMENT "Generating etcd's messages")
add_library(reeve_etcd_proto STATIC ${sources})
target_include_directories(reeve_etcd_proto SYSTEM PUBLIC ${out})
target_link_libraries(reeve_etcd_proto PUBLIC protobuf::libprotobuf)
target_compile_options(reeve_etcd_proto PRIVATE -w -O0 -g0)
set_target_properties(reeve_etcd_proto PROPERTIES UNITY_BUILD OFF)
if(REEVE_SANITIZE)
  target_compile_options(reeve_etcd_proto PRIVATE -fno-sanitize=all)
endif()
