# reeve-dashboard against a real cluster: metrics that promtool accepts, the HTTP interface and its guards, and the page in a real
# headless Chromium. REEVE_SCREENSHOTS=FOLDER also writes the pictures of docs/dashboard.md.
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from cluster import BIN, PATIENCE, Cluster, Process, await_true, main

ROOT = pathlib.Path(__file__).resolve().parents[2]
LARGE_PAGES = int(os.environ.get("REEVE_LARGE_PAGES", 1))  # beside that of the nodes; make soak: all


class WithDashboard(Cluster):
    def setUp(self):
        super().setUp()
        self.dashboard = None
        self.addCleanup(self.end_dashboard)
        self.start_master()

    def end_dashboard(self):
        if self.dashboard and self.dashboard.alive():
            self.dashboard.kill(signal.SIGTERM)

    def start_dashboard(self, *flags):
        self.dashboard = Process([BIN / "reeve-dashboard", "--master", self.endpoint, "--listen", "127.0.0.1:*", *flags],
                                 r"^serving (http://127\.0\.0\.1:(\d+))$", self.folder / "dashboard.log")
        self.url, self.port = self.dashboard.ready[1], int(self.dashboard.ready[2])

    def get(self, path, code=200, headers=None, **parameters):
        url = f"{self.url}{path}" + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
        return self.fetch(urllib.request.Request(url, headers=headers or {}), code)

    def fetch(self, request, code):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, body, kind = answer.status, answer.read(), answer.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            with error:
                status, body, kind = error.code, error.read(), error.headers["Content-Type"]
        self.assertEqual(status, code, body)
        return json.loads(body) if kind == "application/json" else body.decode()

    def post(self, action, code=200, **headers):
        headers = {"Content-Type": "application/json", "X-Reeve-Token": self.get("/api/session")["token"]} | headers
        body = action if isinstance(action, bytes) else json.dumps(action).encode()
        return self.fetch(urllib.request.Request(f"{self.url}/api/act", body, headers), code)


class Metrics(WithDashboard):
    def value(self, text, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        self.assertTrue(found, f"{name} in\n{text}")
        return float(found[1])

    def test_metrics_are_accepted_by_promtool_agree_with_the_master_and_outlive_it(self):
        self.start_dashboard()
        self.start_agent("a")
        self.cli("submit", "--executor", "noop", "--array", "0-499", "--wait")
        self.cli("submit", "--wait", "--", "false", code=1)
        # Commits and passes are told to the ledger once a second.
        text = await_true(lambda: (t := self.get("/metrics")) and "reeve_decision_pass_seconds_count{decider=\"scheduler\"}" in t
                          and "reeve_journal_commit_seconds_count" in t and t, "every histogram")
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""), text)
        stats = self.cli("stats", "-o", "json").json
        self.assertEqual(self.value(text, 'reeve_tasks_finished_total{outcome="succeeded"}'), 500)
        self.assertEqual(self.value(text, 'reeve_tasks_finished_total{outcome="failed"}'), 1)
        self.assertEqual(self.value(text, "reeve_tasks_submitted_total"), stats["submitted"])
        self.assertEqual(self.value(text, 'reeve_nodes{state="up"}'), 1)
        self.assertEqual(self.value(text, "reeve_capacity_cores"), 2)
        self.assertEqual(self.value(text, "reeve_submit_to_placed_seconds_count"), 501)
        self.assertEqual(self.value(text, "reeve_submit_to_start_seconds_count"), 501)
        self.master.kill(signal.SIGTERM)
        self.assertEqual(self.value(self.get("/metrics"), "reeve_up"), 0)
        self.start_master()
        text = await_true(lambda: "reeve_up 1" in (t := self.get("/metrics")) and t, "metrics of the new master")
        self.assertEqual(self.value(text, 'reeve_tasks_finished_total{outcome="succeeded"}'), 500, "kept over a restart")
        self.assertEqual(self.value(text, "reeve_submit_to_start_seconds_count"), 0, "of the running program")

    def test_examples_for_prometheus_and_grafana_are_sound_and_name_metrics_that_exist(self):
        folder = ROOT / "examples" / "prometheus"
        grafana = json.loads((folder / "grafana.json").read_text())
        panels = grafana["panels"]
        queries = [target["expr"] for panel in panels for target in panel["targets"]]
        # Every expression as a rule, so that promtool reads it.
        rules = self.path("grafana.yml")
        pathlib.Path(rules).write_text(json.dumps({"groups": [{"name": "grafana", "rules": [{"record": f"panel:{k}", "expr": query}
                                                                                            for k, query in enumerate(queries)]}]}))
        for words in (["check", "rules", folder / "alerts.yml"], ["test", "rules", folder / "alerts_test.yml"], ["check", "config", folder / "prometheus.yml"],
                      ["check", "rules", rules]):
            done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.start_dashboard()
        self.start_agent("a")
        text = await_true(lambda: (t := self.get("/metrics")) and "reeve_decision_pass" in t and "reeve_journal_commit_s" in t and t,
                          "every metric")
        known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
        self.assertGreater(len(queries), 20)
        source = {f"${{{variable['name']}}}" for variable in grafana["templating"]["list"] if variable["type"] == "datasource"}
        self.assertEqual({panel["datasource"]["uid"] for panel in panels}, source)
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        places = [(x, y) for at in (panel["gridPos"] for panel in panels) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
        self.assertEqual((len(set(places)), max(x for x, _ in places)), (len(places), 23), "no panel lies on another or beyond the page")
        alerts = [set(re.findall(r"alert(?:name)?: (Reeve\w+)", (folder / name).read_text())) for name in ("alerts.yml", "alerts_test.yml")]
        self.assertEqual(*alerts)
        for query in [*queries, (folder / "alerts.yml").read_text()]:
            for name in re.findall(r"\breeve_\w+", query):
                self.assertIn(re.sub(r"_bucket$", "", name), known, query)


class Http(WithDashboard):
    def test_questions_are_answered_with_what_the_command_line_says(self):
        self.start_dashboard()
        self.start_agent("a")
        number = int(self.submit("--name", "greet", "--", "echo", "hello"))
        self.cli("job", "wait", number)
        await_true(lambda: self.get("/api/history")["rows"], "the job in the history")
        overview = self.get("/api/overview")
        self.assertEqual(overview["stats"]["succeeded"], 1)
        self.assertEqual([e["kind"] for e in overview["events"] if e["job"] == number][-1], "job.ended")
        nodes = self.get("/api/nodes", q="A", sort="booked", down=1)
        self.assertEqual(([n["name"] for n in nodes["nodes"]], nodes["total"]), (["a"], 1))
        self.assertEqual(self.get("/api/heat")["names"], ["a"])
        self.assertEqual(self.get("/api/node", name="a")["shown"], "up")
        job = self.get("/api/job", job=number)
        self.assertEqual((job["job"]["name"], job["job"]["spec"]["command"]), ("greet", ["echo", "hello"]))
        self.assertEqual([v["id"] for v in job["graph"]], [number])
        task = self.get("/api/task", job=number, index=0)
        self.assertEqual(task["task"]["state"], "succeeded")
        columns, row = task["attempts"]["columns"], task["attempts"]["rows"][0]
        self.assertEqual((row[columns.index("node")], row[columns.index("cause")]), ("a", "none"))
        self.assertEqual(self.get("/api/log", job=number)["text"], "hello\n")
        totals = self.get("/api/history", by="name")
        self.assertEqual(dict(zip(totals["columns"], totals["rows"][0]))["succeeded"], "1")
        waiting = int(self.submit("--vcores", 64, "--", "true"))
        queue = await_true(lambda: (q := self.get("/api/queues")["queues"][0]) and q["waiting"] == 1 and q, "the queue with what waits")
        self.assertEqual((queue["name"], queue["next"]["job"], queue["last"]["job"], queue["order"]), ("default", waiting, waiting, "fifo"))
        self.assertIn("node", self.get("/api/explain", job=waiting)["summary"])

    def test_the_only_script_in_the_page_itself_is_ours(self):
        self.start_dashboard()
        nonces = set()
        for _ in range(2):
            with urllib.request.urlopen(self.url, timeout=30) as answer:
                nonce = re.search(r"script-src 'self' 'nonce-(\w{32})'", answer.headers["Content-Security-Policy"])[1]
                self.assertEqual(re.findall(r"<script[^>]*>", answer.read().decode()), [f'<script nonce="{nonce}">'])
                nonces.add(nonce)
        self.assertEqual(len(nonces), 2, "nobody can know the next one")

    def test_a_graph_is_the_jobs_that_are_tied_together(self):
        self.start_dashboard()
        self.submit("--", "true")  # somebody else's
        first = int(self.submit("--name", "a", "--", "true"))
        second = int(self.submit("--name", "b", "--after", first, "--", "true"))
        third = int(self.submit("--name", "c", "--after", second, "--", "true"))
        for job in (first, second, third):
            self.assertEqual([v["id"] for v in self.get("/api/job", job=job)["graph"]], [first, second, third])

    def test_bad_requests_are_told_what_is_wrong(self):
        self.start_dashboard()
        for path, field in [("/api/jobs?limit=0", "limit"), ("/api/jobs?state=asleep", "state"), ("/api/tasks", "job"),
                            ("/api/nodes?sort=%00", "sort"), ("/api/history?by=colour", "by"), ("/api/live?from=x", "from"),
                            ("/api/task?job=1&job=2", "job"), ("/api/jobs?q=1", "q")]:
            self.assertEqual(self.get(path, 400)["error"]["field"], field, path)
        self.assertIn("no job 77", self.get("/api/job?job=77", 404)["error"]["text"])
        self.assertEqual(self.get("/nowhere", 404)["error"]["text"], "no such page")
        self.get("/page/../../etc/passwd", 404)

    def test_actions_need_our_page_and_are_done(self):
        self.start_dashboard()
        self.start_agent("a", vcores=1)
        number = int(self.submit("--", "sleep", "600"))
        cancel = {"action": "cancel", "jobs": [number]}
        self.assertEqual(self.post(cancel, 409, **{"X-Reeve-Token": "0" * 32})["error"]["field"], "X-Reeve-Token")
        self.assertEqual(self.post(cancel, 409, Origin="http://evil.example")["error"]["field"], "Origin")
        self.assertEqual(self.post(cancel, 409, **{"Sec-Fetch-Site": "cross-site"})["error"]["field"], "Sec-Fetch-Site")
        self.assertEqual(self.post(cancel, 409, **{"Content-Type": "text/plain"})["error"]["field"], "Content-Type")
        self.assertEqual(self.get("/api/session", 421, {"Host": f"evil.example:{self.port}"})["error"]["field"], "Host")
        self.assertEqual(self.post({"action": "cancel", "jobs": [number], "colour": 1}, 400)["error"]["field"], "colour")
        self.assertNotEqual(self.job(number)["jobs"][0]["progress"]["state"], "cancelled", "nothing of this did anything")
        self.assertEqual(self.post(cancel)["changed"], 1)
        self.cli("job", "wait", number, code=1)
        self.post({"action": "drain", "nodes": ["a"], "reason": "new disk"})
        self.assertEqual(self.get("/api/node", name="a")["reason"], "new disk")
        self.post({"action": "undrain", "nodes": ["a"]})
        self.post({"action": "drain", "nodes": ["no-such"]}, 404)

    def test_a_read_only_dashboard_changes_nothing(self):
        self.start_dashboard("--read-only")
        number = int(self.submit("--", "true"))
        self.assertTrue(self.get("/api/session")["read_only"])
        self.assertIn("read-only", self.post({"action": "cancel", "jobs": [number]}, 409)["error"]["text"])
        self.assertEqual(self.job(number)["jobs"][0]["progress"]["state"], "pending")

    def raw(self, request, last=False):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as peer:
            try:
                peer.sendall(request)
                if last:
                    peer.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was refused before its end
            answer = b""
            try:
                while piece := peer.recv(65536):
                    answer += piece
            except OSError:
                pass
            return answer

    def test_limits_of_body_header_and_rate_hold_and_others_are_served_on(self):
        self.start_dashboard("--rate", "5")
        host = f"Host: 127.0.0.1:{self.port}\r\nConnection: close\r\n".encode()
        self.assertIn(b" 413 ", self.raw(b"POST /api/act HTTP/1.1\r\n" + host + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000).split(b"\n")[0])
        self.assertNotIn(b" 200 ", self.raw(b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n" + host + b"\r\n").split(b"\n")[0])
        self.assertNotIn(b" 200 ", self.raw(b"GET / HTTP/1.1\r\n" + host + b"X: " + b"x" * 10_000 + b"\r\n\r\n").split(b"\n")[0])
        self.assertIn(b" 431 ", self.raw(b"GET / HTTP/1.1\r\n" + host + b"".join(b"X-%d: 1\r\n" % k for k in range(100)) + b"\r\n").split(b"\n")[0])
        self.raw(os.urandom(1000), last=True)
        self.get("/healthz")
        codes = set()
        for _ in range(80):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("GET", "/healthz")
            codes.add(connection.getresponse().status)
            connection.close()
        self.assertEqual(codes, {200, 429}, "a burst of fifty, then no more")

    def test_connections_are_bounded_and_idle_ones_make_room(self):
        self.start_dashboard("--connections", "8")
        streams = [urllib.request.urlopen(f"{self.url}/api/live", timeout=30) for _ in range(4)]
        try:
            self.assertIn("too many live pages", self.get("/api/live", 503)["error"]["text"])
            idle = [socket.create_connection(("127.0.0.1", self.port), timeout=30) for _ in range(12)]
            for peer in idle:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: 127.0")
            self.assertEqual(self.get("/healthz"), "ok\n", "those that say nothing more are let go")
            threads = int(re.search(r"Threads:\s+(\d+)", pathlib.Path(f"/proc/{self.dashboard.pid}/status").read_text())[1])
            self.assertLess(threads, 8 + 12, "not a thread for each that connects")
            for peer in idle:
                peer.close()
        finally:
            for answer in streams:
                answer.close()

    def test_events_are_read_only_while_somebody_looks_and_none_is_missing_then(self):
        self.start_dashboard()
        self.start_agent("a")
        self.cli("submit", "--executor", "noop", "--queue", "batch", "--wait")
        self.assertTrue("\nreeve_dashboard_events_total 0\n" in self.get("/metrics"), "nobody looks")
        told = [json.loads(line) for line in self.cli("events", "--from", "start", "--past", "-o", "jsonl").out.splitlines()]
        for event in told:
            del event["v"]
        self.assertEqual(self.get("/api/events")["events"], told)
        self.cli("submit", "--executor", "noop", "--wait")
        await_true(lambda: self.get("/api/events")["events"][-1]["kind"] == "job.ended" and len(self.get("/api/events")["events"]) > len(told), "the next ones")

    def test_a_live_stream_goes_on_where_it_was_left(self):
        self.start_dashboard()

        def stream(**parameters):
            return urllib.request.urlopen(f"{self.url}/api/live?{urllib.parse.urlencode(parameters)}", timeout=30)

        def events(answer, until):
            seen = []
            for line in answer:
                if line.startswith(b"data: "):
                    seen += json.loads(line[6:]).get("events", [])
                if any(e["kind"] == until for e in seen):
                    return [(e["seq"], e["part"]) for e in seen]
            raise AssertionError("the stream has ended")

        with stream() as answer:
            self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
            self.assertTrue(next(line for line in answer if line.startswith(b"data: ")), "from then on events are told")
            first = self.submit("--", "true")
            before = events(answer, "job.submitted")
        self.cli("job", "cancel", first)
        self.start_agent("a")
        with stream(**{"from": f"{before[-1][0]}.{before[-1][1]}"}) as answer:
            after = events(answer, "node.registered")
        self.assertGreater(after[0], before[-1])
        count = len(self.get("/api/events")["events"])
        said = self.cli("events", "--from", "start", "--count", count, "-o", "jsonl").out.splitlines()
        every = [(e["seq"], e["part"]) for e in map(json.loads, said)]
        self.assertEqual(after, every[every.index(before[-1]) + 1:every.index(after[-1]) + 1])


class Page(WithDashboard):
    """In Chromium. One browser for the class: it takes seconds to start."""

    @classmethod
    def setUpClass(cls):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        import tempfile
        cls.profile = tempfile.mkdtemp(prefix="reeve-chromium-")
        cls.addClassCleanup(shutil.rmtree, cls.profile, True)
        options = webdriver.ChromeOptions()
        for flag in ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--lang=en-GB", f"--user-data-dir={cls.profile}", "about:blank"]:
            options.add_argument(flag)
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        cls.browser = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        cls.addClassCleanup(cls.browser.quit)
        cls.browser.set_page_load_timeout(PATIENCE)
        cls.browser.set_window_size(1280, 900)

    def setUp(self):
        super().setUp()
        self.start_dashboard("--rate", "1000")

    def tearDown(self):
        wrong = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        self.assertEqual([w for w in wrong if "favicon" not in w and "/api/" not in w], [], "the console is clean")
        self.browser.get("about:blank")
        super().tearDown()

    def open(self, path=""):
        self.browser.get("about:blank")
        self.browser.get(f"{self.url}/#/{path}")
        try:
            await_true(lambda: self.find("main[data-ready]"), f"the page {path}")
        except AssertionError as error:
            raise AssertionError(f"{error}: it shows {self.text('body')!r}") from None

    def find(self, css):
        return self.browser.find_elements("css selector", css)

    def text(self, css="main"):
        return self.browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", css)

    def await_text(self, wanted, css="main"):
        try:
            await_true(lambda: re.search(wanted, self.text(css)), f"{wanted} in {css}")
        except AssertionError as error:
            raise AssertionError(f"{error}, but\n{self.text(css)}") from None

    def press(self, label):
        """At once, in the page: what is live may replace a button between finding and pressing it."""
        pressed = self.browser.execute_script("""
          const button = [...document.querySelectorAll('button')].find((b) => b.innerText === arguments[0] && b.offsetParent && !b.disabled);
          button?.click();
          return Boolean(button);""", label)
        self.assertTrue(pressed, f"a button {label} in {self.text()!r}")

    def picture(self, name):
        if folder := os.environ.get("REEVE_SCREENSHOTS"):
            self.browser.save_screenshot(f"{folder}/{name}.png")

    def dark(self, on):
        self.browser.execute_script("document.documentElement.dataset.theme = arguments[0]", "dark" if on else "light")

    def test_what_happens_is_shown_without_loading_again(self):
        self.open()
        self.await_text("0\nnodes up")
        self.await_text("live", "#link")
        self.start_agent("a")
        self.await_text("1\nnodes up")
        number = self.submit("--name", "greet", "--", "sh", "-c", "echo hello; sleep 600")
        self.await_text("greet")
        self.open(f"job/{number}")
        self.await_text("1 on nodes")
        self.open(f"task/{number}/0")
        self.await_text("hello", ".log")
        self.assertIn("1. on a", self.text(".lines"))
        self.press("Cancel")
        self.browser.find_element("css selector", "#ask input").send_keys("seen enough")
        self.find("#ask button.main")[0].click()
        self.await_text("cancelled", ".top")
        self.open(f"job/{number}")
        self.press("Retry")
        self.find("#ask button.main")[0].click()
        self.await_text("1 on nodes")
        self.open("node/a")
        self.press("Drain")
        self.browser.find_element("css selector", "#ask input").send_keys("new disk")
        self.find("#ask button.main")[0].click()
        self.await_text("draining\nTasks")
        self.assertIn("new disk", self.text(".top"))

    def test_the_page_survives_the_master(self):
        self.start_agent("a")
        self.open()
        self.await_text("1\nnodes up")
        self.master.kill()
        self.await_text("no master", "#link")
        self.start_master()
        self.await_text("live", "#link")
        self.submit("--name", "after", "--", "true")
        self.await_text("after")

    def test_a_page_of_which_a_part_did_not_come_says_so_and_loads_itself_again(self):
        self.browser.execute_cdp_cmd("Network.enable", {})
        self.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*charts.js"]})
        try:
            self.browser.get("about:blank")
            self.browser.get(f"{self.url}/#/")
            self.await_text("did not come")
        finally:
            self.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
            self.browser.execute_cdp_cmd("Network.disable", {})
        self.await_text("nodes up")
        self.browser.get_log("browser")  # it says that a file was blocked

    def await_no_stream(self):
        """The program notices that a browser has gone when it tells the next news: something must have happened."""
        await_true(lambda: "\nreeve_dashboard_live_streams 0\n" in self.get("/metrics"), "the end of every stream")

    def test_pages_that_are_left_hold_no_connection_and_go_on_when_one_comes_back(self):
        for _ in range(7):  # a browser opens six connections to one server, and keeps six pages for its Back button
            self.open()
        self.await_text("live", "#link")
        self.browser.get("about:blank")
        number = self.submit("--name", "meanwhile", "--", "true")
        self.await_no_stream()
        self.browser.back()
        self.await_text("meanwhile")
        self.await_text("live", "#link")
        self.cli("job", "cancel", number)
        self.await_text("cancelled")

    def test_output_goes_on_where_it_was_when_the_page_is_seen_again(self):
        self.start_agent("a")
        gate = self.folder / "gate"
        os.mkfifo(gate)
        number = self.submit("--", "sh", "-c", f"echo first; read line < {gate}; echo $line; sleep 600")
        self.open(f"task/{number}/0")
        self.await_text("first", ".log")
        hide = """Object.defineProperty(document, 'hidden', {configurable: true, value: arguments[0]});
          document.dispatchEvent(new Event('visibilitychange'))"""
        self.browser.execute_script(hide, True)
        self.submit("--vcores", 64, "--", "true")
        self.await_no_stream()
        gate.write_text("sécond\n")
        written = len("first\nsécond\n".encode())
        await_true(lambda: self.get("/api/log", job=number)["written"] == written, "the second line")
        self.assertEqual(self.text(".log").strip(), "first", "nobody sees the page, so nothing is read")
        self.browser.execute_script(hide, False)
        self.await_text("^first\nsécond$", ".log")

    def test_every_page_shows_its_matter_in_light_and_dark_wide_and_narrow(self):
        for name in "abcd":
            self.start_agent(name, "--label", f"rack=r{ord(name) % 3}", vcores=2)
        prepare = int(self.submit("--name", "prepare", "--executor", "noop", "--", ))
        train = int(self.submit("--name", "train", "--after", prepare, "--executor", "sleep", "--array", "0-99", "--", "200ms"))
        check = int(self.submit("--name", "check", "--after", train, "--", "sh", "-c", "echo checking; exit 3"))
        report = int(self.submit("--name", "report", "--after", train, "--executor", "noop", "--"))
        self.submit("--name", "publish", "--after", check, "--after", report, "--executor", "noop", "--")
        waits = int(self.submit("--name", "giant", "--vcores", 64, "--", "true"))
        self.cli("node", "drain", "c", "--reason", "new fans")
        self.open()
        await_true(lambda: self.job(train)["jobs"][0]["progress"]["succeeded"] > 30, "some of the array")
        self.await_text("train")
        self.picture("overview")
        self.open(f"job/{train}")
        self.await_text("publish")
        self.picture("job")
        self.cli("job", "wait", train, check, code=1)
        self.open("nodes")
        self.await_text("4 nodes: 3 up, 1 draining|4 nodes: 1 draining, 3 up")
        self.assertEqual(len(self.find("canvas.heat")), 1)
        self.find("canvas.heat")[0].send_keys("\ue014")  # arrow right
        self.await_text("a: \\d+ % booked")
        self.dark(True)
        self.picture("nodes")
        self.dark(False)
        self.open("queues")
        self.await_text("default")
        self.await_text("1 task")
        self.picture("queues")
        self.open(f"task/{check}/0")
        self.await_text("checking", ".log")
        self.await_text("exit code")
        self.picture("task")
        self.open("events")
        self.await_text("job ended")
        self.open("history?range=1%20h")
        self.await_text("train")
        self.await_text("succeeded")
        self.dark(True)
        self.picture("history")
        self.dark(False)
        self.open(f"explain?task={waits}/0")
        self.await_text("node")
        self.open("jobs")
        self.browser.find_element("css selector", "input[name=name]").send_keys("tr*")
        await_true(lambda: len(self.find("tbody tr")) == 1, "the search")
        self.browser.set_window_size(390, 800)
        try:
            for path in ["", "nodes", "queues", "jobs", "events", "history", f"job/{train}", f"task/{train}/0", "explain"]:
                self.open(path)
                wide = self.browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                self.assertLessEqual(wide, 0, f"{path or 'overview'} fits a phone")
                if path == "":
                    self.picture("phone")
        finally:
            self.browser.set_window_size(1280, 900)

    def test_the_page_can_be_used_by_keyboard_and_is_named_for_screen_readers(self):
        self.start_agent("a")
        for path in ["", "nodes", "jobs", "queues", "events", "history", "explain"]:
            self.open(path)
            unnamed = self.browser.execute_script("""
              return [...document.querySelectorAll('main button, main input, main select, main a, main canvas, main svg')].filter((e) =>
                !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length || e.closest('[aria-hidden=true]'))).map((e) => e.outerHTML)""")
            self.assertEqual(unnamed, [], path)
            self.assertEqual(len(self.find("h1")), 1)
            self.assertEqual(len(self.find("nav [aria-current=page]")), 1)
        link = self.find("nav a[href='#/nodes']")[0]
        link.send_keys("\ue007")  # Enter
        await_true(lambda: self.text("h1") == "Nodes" and self.browser.switch_to.active_element.tag_name == "h1", "the focus on the heading")

    def start_large_master(self):
        """In place of the one that runs: with 10,000 nodes and a million tasks that wait."""
        self.master.kill()
        shutil.rmtree(self.folder / "master")
        (self.folder / "master").mkdir()
        subprocess.run([BIN / "reeve-big-cluster", self.folder / "master", "10000", "1000000", "2000"], check=True)
        self.start_master()

    def test_ten_thousand_nodes_and_a_million_tasks_come_in_pages(self):
        self.start_large_master()
        known = await_true(lambda: (h := self.get("/api/heat")) and len(h["names"]) == 10_000 and h["version"], "the nodes")
        # What a page asks for, and how many kB the answer has at most: none grows with the cluster but the map, which has a few bytes for a node.
        for path, most in [("overview", 60), ("heat", 400), (f"heat?known={known}", 150), ("nodes?limit=100", 100), ("nodes?q=node07&sort=booked&down=1", 100),
                           ("node?name=rack003-node07", 20), ("jobs?limit=50", 60), ("jobs?name=single-19*", 60), ("job?job=2", 60), ("tasks?job=2&limit=100", 60),
                           ("tasks?job=2&from=999900", 60), ("task?job=2&index=999999", 20), ("explain?job=2&index=999999", 20), ("queues", 20), ("history", 60),
                           ("history?by=hour", 20), ("events", 500)]:
            size = len(json.dumps(self.get(f"/api/{path}"), ensure_ascii=False, separators=(",", ":")).encode())
            self.assertLess(size, most * 1000, path)
        self.open("nodes")
        self.await_text("10,000 nodes")
        self.assertEqual(len(self.find("tbody tr")), 50, "a page of them")
        await_true(lambda: self.find("canvas.heat")[0].get_attribute("data-drawn-ms"), "the map is drawn")
        self.picture("large")
        pages = [("", "10000 suspect"), ("jobs", "single-1999"), ("job/2", r"\b1M\b"), ("queues", "batch"),
                 ("history", "Nothing|default"), ("node/rack003-node07", "rack003")]
        for path, wanted in pages[:LARGE_PAGES]:
            self.open(path)
            self.await_text(wanted)
            elements = self.browser.execute_script("return document.querySelectorAll('*').length")
            self.assertLess(elements, 2_500, f"{path or 'overview'}: what a page holds does not grow with the cluster")
        self.cli("node", "drain", "rack000-node01", "--reason", "new fans")
        self.open("node/rack000-node01")
        self.await_text("new fans")

    def test_only_what_has_changed_is_drawn_anew_and_at_most_once_a_second(self):
        for name in "ab":
            self.start_agent(name)
        for k in range(3):
            self.submit("--name", f"old-{k}", "--vcores", 64, "--", "true")
        self.open("jobs")
        self.await_text("old-2")
        # Marks of our own on elements: they are gone when the element is made anew.
        self.browser.execute_script("""
          [...document.querySelectorAll('tbody tr')].forEach((row) => { row.mark = 1; });
          performance.clearResourceTimings(); window.began = performance.now();""")
        for k in range(30):
            self.submit("--name", f"new-{k}", "--executor", "noop")
        self.await_text("new-29")
        marked, rows, asked, passed = self.browser.execute_script("""
          const rows = [...document.querySelectorAll('tbody tr')];
          return [rows.filter((row) => row.mark).length, rows.length,
                  performance.getEntriesByType('resource').filter((e) => e.name.includes('/api/jobs')).length, performance.now() - window.began]""")
        self.assertEqual((marked, rows), (3, 33), "rows stay the same elements, whatever they show")
        self.assertLessEqual(asked, passed / 1000 + 2)
        self.open("nodes")
        canvas = "document.querySelector('canvas.heat')"
        await_true(lambda: self.browser.execute_script(f"return {canvas}?.dataset.drawnCells === '0'"), "a look at the map that draws nothing")
        self.cli("node", "drain", "a")
        drawn = await_true(lambda: self.browser.execute_script(f"const n = Number({canvas}.dataset.drawnCells); return n"), "the node that drains")
        self.assertEqual(drawn, 1)

    def test_ten_thousand_tasks_and_many_jobs_are_paged(self):
        self.start_agent("a")
        large = self.submit("--executor", "noop", "--array", "0-9999")
        for _ in range(60):
            self.submit("--vcores", 64, "--", "true")
        self.cli("job", "wait", large)
        self.open(f"job/{large}")
        self.await_text("10,000 succeeded")
        self.assertEqual(len(self.find("tbody tr")), 100)
        self.press("After")
        self.await_text(f"{large}/100")
        self.open("jobs")
        await_true(lambda: len(self.find("tbody tr")) == 50, "a page of jobs")
        self.press("Older")
        await_true(lambda: len(self.find("tbody tr")) == 11, "the rest")


if __name__ == "__main__":
    main()
