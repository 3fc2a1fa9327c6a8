// The program reeve-agent: the agent without functions of a user's own. See agent_main.cpp.
#include "agents/worker/worker.hpp"

int main(int argc, char** argv) {
  return reeve::worker::agent_main(argc, argv);
}
