// docs/history.md describes the views as they are.
#include "tests/unit/history/world.hpp"

#include <fstream>
#include <set>
#include <sstream>

namespace reeve::history {
namespace {

/// Names in back quotes; of lines of a table only those in the first cell.
std::set<std::string> names_in(const std::string& section) {
  std::set<std::string> names;
  std::istringstream lines(section);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("|"))
      line = line.substr(0, line.find('|', 1));
    for (auto from = line.find('`'); from != std::string::npos; from = line.find('`', from)) {
      const auto to = line.find('`', from + 1);
      if (to == std::string::npos)
        break;
      names.insert(line.substr(from + 1, to - from - 1));
      from = to + 1;
    }
  }
  return names;
}

class Views : public WithHistory, public testing::WithParamInterface<const char*> {};
TEST_P(Views, have_the_columns_that_the_docs_name) {
  const std::string view = GetParam();
  std::ifstream file(SOURCE_DIR "/docs/history.md");
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const auto from = text.find("\n### " + view + "\n");
  ASSERT_NE(from, std::string::npos);
  const std::string section = text.substr(from, text.find("\n##", from + 4) - from);
  const auto named = names_in(section);
  std::set<std::string> columns;
  for (const auto& column : sql("SELECT name FROM pragma_table_info('" + view + "')"))
    columns.insert(column);
  ASSERT_FALSE(columns.empty());
  for (const auto& column : columns)
    EXPECT_TRUE(named.contains(column)) << column << " is not in the docs";
  const bool table = section.find("| column |") != std::string::npos;
  for (const auto& name : named)
    if (table) {
      EXPECT_TRUE(columns.contains(name)) << name << " is in the docs only";
    }
}
INSTANTIATE_TEST_SUITE_P(of, Views,
                         testing::Values("jobs", "attempts", "outputs", "nodes", "config", "gaps"),
                         [](const auto& test) { return std::string(test.param); });

} // namespace
} // namespace reeve::history
