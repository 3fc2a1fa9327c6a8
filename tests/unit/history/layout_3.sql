-- history.db as reeve 0.1.0 with layout 3 left it (sqlite3 .dump of a small cluster's; the table of
-- numbers is made anew): jobs that went well, failed, were retried, cancelled, and one that waits.
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES('last_seq',40);
CREATE TABLE minutes(id INTEGER PRIMARY KEY, earliest_us INTEGER NOT NULL,
  latest_us INTEGER NOT NULL,
  end_id INTEGER NOT NULL, run_id INTEGER NOT NULL, node_id INTEGER NOT NULL,
  config_id INTEGER NOT NULL);
INSERT INTO minutes VALUES(1,1795675199317904,1795675199317904,1,1,1,1);
INSERT INTO minutes VALUES(2,1795675209324216,1795675213662781,1,1,1,1);
INSERT INTO minutes VALUES(3,1795675224907747,1795675230307453,6,7,6,1);
CREATE TABLE gaps(first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE kinds(kind INTEGER PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL,
  queue TEXT NOT NULL, executor TEXT NOT NULL, UNIQUE(name, user, queue, executor));
INSERT INTO kinds VALUES(1,'render','root','default','process');
INSERT INTO kinds VALUES(2,'flaky','root','default','process');
INSERT INTO kinds VALUES(3,'frames','root','default','process');
INSERT INTO kinds VALUES(4,'again','root','default','process');
INSERT INTO kinds VALUES(5,'tiles','root','default','process');
INSERT INTO kinds VALUES(6,'waits','root','default','process');
INSERT INTO kinds VALUES(7,'stopped','root','default','process');
CREATE TABLE job_rows(job INTEGER PRIMARY KEY, kind INTEGER, tasks INTEGER, priority INTEGER,
  submitted_us INTEGER, labels TEXT, end_id INTEGER, state INTEGER, started_us INTEGER,
  ended_us INTEGER, succeeded INTEGER, failed INTEGER, cancelled INTEGER, exit_code INTEGER,
  reason TEXT, correlation TEXT);
INSERT INTO job_rows VALUES(1,1,1,0,1795675211392906,'{"team":"blue"}',1,2,1795675211406107,1795675211414491,1,0,0,0,NULL,'3268de189b88e4af');
INSERT INTO job_rows VALUES(2,1,1,0,1795675211498045,NULL,2,3,1795675211500826,1795675211509511,0,1,0,3,'exit code 3','8b8c9ead845f1a2e');
INSERT INTO job_rows VALUES(3,2,1,0,1795675211545357,NULL,3,3,1795675211554271,1795675211718750,0,1,0,1,'exit code 1','f89175a5aeabc247');
INSERT INTO job_rows VALUES(4,3,1,0,1795675211869953,NULL,4,2,1795675211873591,1795675211881986,1,0,0,0,NULL,'77d5bca742a7f616');
INSERT INTO job_rows VALUES(5,4,1,0,1795675212312710,NULL,5,3,1795675212316232,1795675212326757,0,1,0,2,'exit code 2','51112270f104653e');
INSERT INTO job_rows VALUES(6,5,5,0,1795675228820457,NULL,6,3,1795675228827204,1795675228842090,4,1,0,1,'exit code 1','25c1d70686b02521');
INSERT INTO job_rows VALUES(7,6,1,0,1795675228967450,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'4945561abfe89f1b');
INSERT INTO job_rows VALUES(8,7,1,0,1795675229098012,NULL,7,4,NULL,1795675229184540,0,0,1,0,NULL,'d92f7a66d87ee168');
CREATE TABLE attempt_runs(id INTEGER PRIMARY KEY, job INTEGER NOT NULL, first INTEGER NOT NULL,
  count INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, cause INTEGER NOT NULL,
  recorded_us INTEGER NOT NULL, started_us INTEGER, ended_us INTEGER, exit_code INTEGER,
  signal INTEGER, wall_us INTEGER, user_cpu_us INTEGER, system_cpu_us INTEGER,
  max_rss_bytes INTEGER, stdout_bytes INTEGER, stderr_bytes INTEGER, text TEXT, result BLOB);
INSERT INTO attempt_runs VALUES(1,1,0,1,1,2,0,1795675211414491,1795675211410483,1795675211413917,0,0,3434,1255,0,4575232,6,0,NULL,NULL);
INSERT INTO attempt_runs VALUES(2,2,0,1,1,2,1,1795675211509511,1795675211507839,1795675211509121,3,0,1281,1112,0,4575232,0,0,'exit code 3',NULL);
INSERT INTO attempt_runs VALUES(3,3,0,1,1,1,1,1795675211586031,1795675211577993,1795675211584971,1,0,6977,1275,0,4648960,0,0,'exit code 1',NULL);
INSERT INTO attempt_runs VALUES(4,3,0,1,2,2,1,1795675211718750,1795675211671267,1795675211717038,1,0,45770,1312,0,4575232,0,0,'exit code 1',NULL);
INSERT INTO attempt_runs VALUES(5,4,0,1,1,1,0,1795675211881986,1795675211879120,1795675211881236,0,0,2115,1466,0,4648960,0,0,NULL,NULL);
INSERT INTO attempt_runs VALUES(6,5,0,1,1,2,1,1795675212326757,1795675212324784,1795675212326209,2,0,1424,1258,0,4575232,0,0,'exit code 2',NULL);
INSERT INTO attempt_runs VALUES(7,6,0,1,1,1,0,1795675228834588,1795675228830185,1795675228834082,0,0,3896,0,1094,4734976,0,0,NULL,NULL);
INSERT INTO attempt_runs VALUES(8,6,1,1,1,1,0,1795675228835416,1795675228831035,1795675228834812,0,0,3777,984,0,4734976,0,0,NULL,NULL);
INSERT INTO attempt_runs VALUES(9,6,3,1,1,1,1,1795675228838975,1795675228837516,1795675228838560,1,0,1044,934,0,4734976,0,0,'exit code 1',NULL);
INSERT INTO attempt_runs VALUES(10,6,2,1,1,1,0,1795675228838975,1795675228836970,1795675228838633,0,0,1662,1017,0,4734976,0,0,NULL,NULL);
INSERT INTO attempt_runs VALUES(11,6,4,1,1,1,0,1795675228842090,1795675228840843,1795675228841788,0,0,944,860,0,4734976,0,0,NULL,NULL);
CREATE TABLE output_heads(run INTEGER PRIMARY KEY, stdout BLOB, stderr BLOB);
INSERT INTO output_heads VALUES(1,X'68656c6c6f0a',NULL);
CREATE TABLE node_names(node INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO node_names VALUES(1,'n1');
INSERT INTO node_names VALUES(2,'n2');
CREATE TABLE node_rows(id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, seq INTEGER NOT NULL,
  node INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, capacity TEXT, labels TEXT,
  program TEXT, incarnation INTEGER);
INSERT INTO node_rows VALUES(1,1795675209324216,2,1,'registered',NULL,'2 vcores, 1 GiB memory, 47.36 GiB disk',NULL,'reeve-agent 0.1.0',651698473043900462);
INSERT INTO node_rows VALUES(2,1795675209374670,3,2,'registered',NULL,'2 vcores, 1 GiB memory, 47.36 GiB disk',NULL,'reeve-agent 0.1.0',7645427726694295701);
INSERT INTO node_rows VALUES(3,1795675212452905,22,2,'draining',NULL,NULL,NULL,NULL,NULL);
INSERT INTO node_rows VALUES(4,1795675213645835,23,1,'gone','the agent was stopped',NULL,NULL,NULL,NULL);
INSERT INTO node_rows VALUES(5,1795675213662781,24,2,'gone','the agent was stopped',NULL,NULL,NULL,NULL);
INSERT INTO node_rows VALUES(6,1795675226852104,26,1,'registered',NULL,'2 vcores, 1 GiB memory, 47.32 GiB disk',NULL,'reeve-agent 0.1.0',651698473043900462);
INSERT INTO node_rows VALUES(7,1795675230307453,40,1,'gone','the agent was stopped',NULL,NULL,NULL,NULL);
CREATE TABLE config_rows(id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, seq INTEGER NOT NULL,
  name TEXT NOT NULL, value TEXT);
INSERT INTO config_rows VALUES(1,1795675228876921,36,'queue.default.paused','true');
CREATE TABLE job_states(state INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO job_states VALUES(0,'pending');
INSERT INTO job_states VALUES(1,'running');
INSERT INTO job_states VALUES(2,'succeeded');
INSERT INTO job_states VALUES(3,'failed');
INSERT INTO job_states VALUES(4,'cancelled');
INSERT INTO job_states VALUES(5,'held');
CREATE TABLE causes(cause INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO causes VALUES(0,'none');
INSERT INTO causes VALUES(1,'exit_code');
INSERT INTO causes VALUES(2,'signal');
INSERT INTO causes VALUES(3,'time_limit');
INSERT INTO causes VALUES(4,'out_of_memory');
INSERT INTO causes VALUES(5,'cancelled');
INSERT INTO causes VALUES(6,'lost_node');
INSERT INTO causes VALUES(7,'start_failed');
INSERT INTO causes VALUES(8,'executor_error');
INSERT INTO causes VALUES(9,'drained');
INSERT INTO causes VALUES(10,'unknown_executor');
INSERT INTO causes VALUES(11,'preempted');
INSERT INTO causes VALUES(12,'dependency');
INSERT INTO causes VALUES(13,'node_trouble');
INSERT INTO causes VALUES(14,'superseded');
CREATE TABLE numbers(n INTEGER PRIMARY KEY);
CREATE TABLE job_totals(span_us INTEGER, slot_us INTEGER, user TEXT, queue TEXT,jobs INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,cancelled INTEGER NOT NULL, tasks INTEGER NOT NULL, waits INTEGER NOT NULL,sum_wait_us INTEGER NOT NULL, longest_wait_us INTEGER NOT NULL,sum_ran_us INTEGER NOT NULL, spread BLOB,PRIMARY KEY(span_us, slot_us, user, queue)) WITHOUT ROWID;
INSERT INTO job_totals VALUES(3600000000,1795672800000000,'root','default',7,2,4,1,11,6,38803,13201,215354,X'eb01020c0201021c020e021102');
INSERT INTO job_totals VALUES(86400000000,1795651200000000,'root','default',7,2,4,1,11,6,38803,13201,215354,X'eb01020c0201021c020e021102');
CREATE TABLE attempt_totals(span_us INTEGER, slot_us INTEGER, user TEXT, queue TEXT,attempts INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,lost INTEGER NOT NULL, sum_wall_us INTEGER NOT NULL, sum_cpu_us INTEGER NOT NULL,max_rss_bytes INTEGER NOT NULL,PRIMARY KEY(span_us, slot_us, user, queue)) WITHOUT ROWID;
INSERT INTO attempt_totals VALUES(3600000000,1795672800000000,'root','default',11,6,5,0,72324,12567,4734976);
INSERT INTO attempt_totals VALUES(86400000000,1795651200000000,'root','default',11,6,5,0,72324,12567,4734976);
CREATE TABLE node_totals(span_us INTEGER, slot_us INTEGER, node INTEGER,attempts INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,lost INTEGER NOT NULL, sum_wall_us INTEGER NOT NULL, sum_cpu_us INTEGER NOT NULL,max_rss_bytes INTEGER NOT NULL,PRIMARY KEY(span_us, slot_us, node)) WITHOUT ROWID;
INSERT INTO node_totals VALUES(3600000000,1795672800000000,1,7,5,2,0,20415,7630,4734976);
INSERT INTO node_totals VALUES(3600000000,1795672800000000,2,4,1,3,0,51909,4937,4575232);
INSERT INTO node_totals VALUES(86400000000,1795651200000000,1,7,5,2,0,20415,7630,4734976);
INSERT INTO node_totals VALUES(86400000000,1795651200000000,2,4,1,3,0,51909,4937,4575232);
CREATE INDEX kinds_user ON kinds(user);
CREATE INDEX kinds_queue ON kinds(queue);
CREATE UNIQUE INDEX job_rows_end ON job_rows(end_id) WHERE end_id IS NOT NULL;
CREATE INDEX job_rows_kind ON job_rows(kind, end_id);
CREATE INDEX job_rows_unusual ON job_rows(state, end_id) WHERE end_id IS NOT NULL AND state <> 2;
CREATE INDEX attempt_runs_task ON attempt_runs(job, first);
CREATE INDEX attempt_runs_node ON attempt_runs(node);
CREATE INDEX attempt_runs_unusual ON attempt_runs(cause) WHERE cause <> 0;
CREATE INDEX node_names_name ON node_names(name);
CREATE INDEX node_rows_node ON node_rows(node);
CREATE INDEX config_rows_name ON config_rows(name);
CREATE VIEW jobs AS SELECT j.job, k.name, k.user, k.queue, k.executor, s.name AS state, j.tasks,
  j.succeeded, j.failed, j.cancelled, j.exit_code, j.priority, j.submitted_us, j.started_us,
  j.ended_us, j.reason, j.labels, j.correlation
  FROM job_rows j LEFT JOIN kinds k ON k.kind = j.kind LEFT JOIN job_states s ON s.state = j.state;
CREATE VIEW attempts AS SELECT r.job, r.first + n.n AS task, r.attempt, m.name AS node,
  c.name AS cause, r.exit_code, r.signal, r.recorded_us, r.started_us, r.ended_us, r.wall_us,
  r.user_cpu_us, r.system_cpu_us, r.max_rss_bytes, r.stdout_bytes, r.stderr_bytes, r.text, r.result
  FROM attempt_runs r JOIN numbers n ON n.n < r.count JOIN causes c ON c.cause = r.cause
  LEFT JOIN node_names m ON m.node = r.node;
CREATE VIEW outputs AS SELECT r.job, r.first AS task, r.attempt, o.stdout, o.stderr
  FROM output_heads o JOIN attempt_runs r ON r.id = o.run;
CREATE VIEW nodes AS SELECT m.name AS node, r.time_us, r.state, r.reason, r.capacity, r.labels,
  r.program, r.incarnation, r.seq FROM node_rows r LEFT JOIN node_names m ON m.node = r.node;
CREATE VIEW config AS SELECT name, value, time_us, seq FROM config_rows;
INSERT INTO numbers WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM c WHERE n<8191)
  SELECT n FROM c;
PRAGMA application_id=1919247720;
PRAGMA user_version=3;
COMMIT;
