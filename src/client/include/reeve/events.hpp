// The name under which programs include the event stream: <reeve/events.hpp>, in the tree and
// installed.
#pragma once

#include "src/client/events.hpp"
