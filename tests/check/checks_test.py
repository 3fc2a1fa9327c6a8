# The checks find what they are there for. Each test plants an offence in a tree of its own.
import pathlib
import tempfile
import unittest

import commands
import includes
import links
import tree


class Planted(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)

    def plant(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def test_core_may_not_use_caf_threads_or_the_clock(self):
        self.plant("src/core/x.cpp", '#include <vector>\n#include <caf/all.hpp>\n#include <thread>\n'
                                     'auto t = std::chrono::system_clock::now();\n')
        found = list(includes.offences(self.root))
        self.assertEqual([line.split(": ")[0] for line in found],
                         ["src/core/x.cpp:2", "src/core/x.cpp:3", "src/core/x.cpp:4"])

    def test_actors_may_use_caf_and_all_of_src_but_not_zmq(self):
        self.plant("actors/x.cpp", '#include "src/core/cluster.hpp"\n#include <caf/all.hpp>\n#include <zmq.hpp>\n')
        self.assertEqual(list(includes.offences(self.root)), ["actors/x.cpp:3: actors may not use <zmq.hpp>"])

    def test_a_folder_without_rules_is_an_offence(self):
        self.plant("src/novel/x.cpp", "\n")
        self.assertIn("src/novel is not in the table", next(includes.offences(self.root)))

    def test_comments_and_strings_are_not_code(self):
        self.plant("src/core/x.cpp", '// #include <thread>\n/* a::now() */ auto s = "b::now()"; // c::now()\n')
        self.assertEqual(list(includes.offences(self.root)), [])

    def test_machine_paths_hosts_and_unfinished_work_are_offences(self):
        self.plant("a.md", "see /home/ann/x\nfrom pypi.org\nTODO\nDISABLED_x\n/usr/share is fine, src/work/x too\n")
        self.assertEqual([line.split(": ")[0] for line in tree.offences(self.root)],
                         ["a.md:1", "a.md:2", "a.md:3", "a.md:4"])

    def test_links_lead_to_files_and_headings(self):
        self.plant("a.md", "# One, two\n[x](b.md) [y](#one-two) [z](#three)\n```\n[no](no.md)\n```\n")
        self.assertEqual(list(links.offences(self.root)),
                         ["a.md:2: no such file: b.md", "a.md:2: no such heading: #three"])

    def test_commands_are_found_with_their_continuation_and_without_comments(self):
        text = "```console\n$ reeve submit \\\n    --wait -- true   # runs it\nits output\n```\n`reeve job list` in a sentence\n"
        self.assertEqual(list(commands.commands_in(text)), [(2, ["reeve", "submit", "--wait", "--", "true"]),
                                                            (6, ["reeve", "job", "list"])])


if __name__ == "__main__":
    unittest.main()
