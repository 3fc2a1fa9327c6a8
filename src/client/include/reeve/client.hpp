// The name under which programs include the client: <reeve/client.hpp>, in the tree and installed.
#pragma once

#include "src/client/client.hpp"
