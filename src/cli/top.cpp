// `reeve top`: the cluster in a terminal, by ncurses. A thread of its own reads the event stream
// and says that there is news; the master is asked again only then, and every few seconds for what
// is measured.
#include "src/cli/commands.hpp"
#include "src/cli/top_model.hpp"
#include "src/client/events.hpp"
#include "src/util/text.hpp"

#include <clocale>
#include <mutex>
#include <thread>

#include <atomic>
#define NCURSES_NOMACROS
#include <curses.h>

namespace reeve::cli {
namespace {

using TopClock = std::chrono::steady_clock;
constexpr std::size_t events_shown = 500;
constexpr std::size_t jobs_shown = 1'000;
constexpr std::size_t busy_jobs = 20; // whose tasks are shown
constexpr auto ask_pause = std::chrono::milliseconds(500);
constexpr auto ask_anyway = std::chrono::seconds(5);
constexpr int key_patience_ms = 100;

/// The events of the last while, read by a thread.
class TopEvents {
public:
  TopEvents(std::vector<std::string> endpoints)
      : thread_([this, endpoints = std::move(endpoints)] { read(endpoints); }) {}
  ~TopEvents() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] std::uint64_t seen() const { return seen_; }
  std::deque<Event> newest() {
    const std::scoped_lock lock(mutex_);
    return events_;
  }

private:
  void read(const std::vector<std::string>& endpoints) {
    EventOptions options;
    options.from = Seq(0);
    options.connect_timeout = std::chrono::seconds(1);
    options.interrupted = [this] { return stop_.load(); };
    while (!stop_) {
      auto stream = EventStream::open(endpoints, options);
      while (stream && !stop_) {
        auto event = stream->next(std::chrono::milliseconds(500));
        if (!event)
          break;
        if (!*event)
          continue;
        const std::scoped_lock lock(mutex_);
        events_.push_front(std::move(**event));
        if (events_.size() > events_shown)
          events_.pop_back();
        ++seen_;
      }
    }
  }
  std::mutex mutex_;
  std::deque<Event> events_; // guarded by mutex_
  std::atomic<std::uint64_t> seen_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TopFacts ask_all(Client& client, TimePoint now, TopPage page) {
  constexpr Duration patience = std::chrono::seconds(2);
  TopFacts facts;
  facts.now = now;
  const auto trouble = [&facts](const auto& answer) {
    if (!answer)
      facts.trouble = answer.error().message();
    return !answer;
  };
  auto stats = client.ask(GetStats{}, patience);
  if (trouble(stats))
    return facts;
  facts.stats = std::move(*stats);
  if (page == TopPage::nodes)
    if (auto nodes = client.ask(ListNodes{}, patience); !trouble(nodes))
      facts.nodes = std::move(nodes->nodes);
  if (page == TopPage::nodes || page == TopPage::events)
    return facts;
  ListJobs wanted;
  wanted.states = {JobState::running, JobState::pending, JobState::held};
  wanted.limit = jobs_shown;
  auto jobs = client.ask(wanted, patience);
  if (trouble(jobs))
    return facts;
  facts.jobs = std::move(jobs->jobs);
  std::size_t asked = 0;
  for (const JobView& job : facts.jobs) {
    if (page != TopPage::tasks || asked == busy_jobs)
      break;
    if (job.progress.assigned == 0)
      continue;
    ++asked;
    ListTasks tasks;
    tasks.job = job.progress.job;
    tasks.states = {TaskState::assigned};
    if (auto list = client.ask(tasks, patience))
      facts.tasks.insert(facts.tasks.end(), list->tasks.begin(), list->tasks.end());
  }
  return facts;
}

/// The terminal, given back however this ends.
class Screen {
public:
  Screen() {
    std::setlocale(LC_ALL, "C.UTF-8"); // for what we draw ourselves, in whatever language
    std::setlocale(LC_CTYPE, "");
    if (std::string_view(std::setlocale(LC_CTYPE, nullptr)).find("UTF-8") == std::string_view::npos)
      std::setlocale(LC_CTYPE, "C.UTF-8");
    good_ = newterm(nullptr, stdout, stdin) != nullptr;
    if (!good_)
      return;
    cbreak();
    noecho();
    keypad(stdscr, true);
    curs_set(0);
    set_escdelay(50);
    timeout(key_patience_ms);
    if (has_colors()) {
      start_color();
      use_default_colors();
      const short colours[] = {COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_BLUE, COLOR_CYAN};
      for (short k = 0; k < 5; ++k)
        init_pair(static_cast<short>(k + 1), colours[k], -1);
    }
  }
  ~Screen() {
    if (good_)
      endwin();
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  [[nodiscard]] bool good() const { return good_; }

private:
  bool good_ = false;
};

int attribute_of(Colour colour) {
  switch (colour) {
  case Colour::red:
    return static_cast<int>(COLOR_PAIR(1));
  case Colour::green:
    return static_cast<int>(COLOR_PAIR(2));
  case Colour::yellow:
    return static_cast<int>(COLOR_PAIR(3));
  case Colour::bold:
    return static_cast<int>(A_BOLD);
  default:
    return static_cast<int>(A_NORMAL);
  }
}

class Top {
public:
  Top(Session& session, Client& client)
      : session_(session), client_(client), events_(parse_endpoints(session.endpoints())) {}

  Exit run() {
    const Screen screen;
    if (!screen.good())
      return session_.usage({Code::bad_field, "TERM", "no terminal that ncurses knows"});
    while (!done_ && !session_.terminal.interrupted()) {
      ask_if_due();
      draw();
      const int key = getch();
      if (key != ERR)
        take(key);
    }
    return Exit::good;
  }

private:
  void ask_if_due() {
    const auto now = TopClock::now();
    const bool news = events_.seen() != seen_;
    if (!again_ && (now - asked_ < ask_pause || (!news && now - asked_ < ask_anyway)))
      return;
    again_ = false;
    seen_ = events_.seen();
    TopFacts facts = ask_all(client_, session_.terminal.now(), model_.page());
    facts.events = events_.newest();
    model_.update(std::move(facts));
    asked_ = TopClock::now();
  }

  void put(int y, int x, std::string_view text, int attribute = 0) {
    attron(attribute);
    mvaddnstr(y, x, text.data(), static_cast<int>(text.size()));
    attroff(attribute);
  }

  void draw_head(int& y) {
    static constexpr const char* names[] = {"1 nodes", "2 tasks", "3 jobs", "4 queues", "5 events"};
    int x = 0;
    put(y, x, "reeve top", static_cast<int>(A_BOLD));
    x += 11;
    for (int k = 0; k < 5; ++k) {
      put(y, x, names[k],
          static_cast<int>(model_.page() == static_cast<TopPage>(k) ? A_REVERSE : A_NORMAL));
      x += static_cast<int>(std::string_view(names[k]).size()) + 2;
    }
    ++y;
    for (const auto& line : model_.head(static_cast<std::size_t>(std::max(10, COLS))))
      put(y++, 0, line,
          line == model_.facts().trouble ? attribute_of(Colour::red) : static_cast<int>(A_NORMAL));
    put(y++, 0,
        model_.order_text() +
          (model_.filter().empty() ? "" : "   only with '" + model_.filter() + "'"),
        static_cast<int>(A_DIM));
  }

  void draw_row(int y, const std::vector<Table::Cell>& cells,
                const std::vector<std::size_t>& widths, int attribute) {
    int x = 0;
    for (std::size_t k = 0; k < cells.size() && x < COLS; ++k) {
      std::string text = printable(cells[k].text);
      const std::size_t width = display_width(text);
      const std::size_t room = std::min(widths[k], static_cast<std::size_t>(COLS - x));
      const std::string blanks(room > width ? room - width : 0, ' ');
      text = model_.columns()[k].right ? blanks + text : text + blanks;
      while (display_width(text) > room && !text.empty())
        text.pop_back();
      put(y, x, text, attribute | attribute_of(cells[k].colour));
      x += static_cast<int>(widths[k]) + 2;
    }
  }

  void draw() {
    erase();
    int y = 0;
    draw_head(y);
    const auto& columns = model_.columns();
    const auto& rows = model_.rows();
    const int room = LINES - y - 2;
    const int chosen = static_cast<int>(model_.chosen());
    first_ = std::clamp(first_, std::max(0, chosen - room + 1), chosen);
    std::vector<std::size_t> widths;
    std::vector<Table::Cell> titles;
    for (const auto& column : columns) {
      widths.push_back(display_width(column.name));
      titles.emplace_back(column.name);
    }
    const auto end = std::min<int>(static_cast<int>(rows.size()), first_ + std::max(room, 0));
    for (int k = first_; k < end; ++k)
      for (std::size_t c = 0; c < columns.size(); ++c)
        widths[c] =
          std::max(widths[c], display_width(rows[static_cast<std::size_t>(k)].cells[c].text));
    if (!columns.empty())
      draw_row(y++, titles, widths, static_cast<int>(A_BOLD));
    for (int k = first_; k < end; ++k)
      draw_row(y++, rows[static_cast<std::size_t>(k)].cells, widths,
               static_cast<int>(k == chosen ? A_REVERSE : A_NORMAL));
    if (rows.empty())
      put(y, 0, "nothing to show", static_cast<int>(A_DIM));
    put(LINES - 1, 0, foot(), static_cast<int>(A_DIM));
    refresh();
  }

  [[nodiscard]] std::string foot() const {
    if (typing_)
      return "filter: " + typed_ + "_";
    if (!question_.empty())
      return question_ + " (y/n)";
    if (!said_.empty())
      return said_;
    return "1-5 page  up/down choose  s sort  r reverse  / filter  c cancel  d drain  q quit";
  }

  void take(int key) {
    said_.clear();
    if (typing_)
      return take_typed(key);
    if (!question_.empty()) {
      question_.clear();
      if (key == 'y' || key == 'Y')
        wish_();
      return;
    }
    if (key >= '1' && key <= '5')
      return go(static_cast<TopPage>(key - '1'));
    switch (key) {
    case 'q':
      done_ = true;
      break;
    case '\t':
      go(static_cast<TopPage>((static_cast<int>(model_.page()) + 1) % 5));
      break;
    case KEY_UP:
    case 'k':
      model_.move(-1);
      break;
    case KEY_DOWN:
    case 'j':
      model_.move(1);
      break;
    case KEY_PPAGE:
      model_.move(-20);
      break;
    case KEY_NPAGE:
      model_.move(20);
      break;
    case KEY_HOME:
      model_.move(-1'000'000);
      break;
    case KEY_END:
      model_.move(1'000'000);
      break;
    case 's':
      model_.next_sort();
      break;
    case 'r':
      model_.turn();
      break;
    case '/':
      typing_ = true;
      typed_ = model_.filter();
      break;
    case 'c':
      ask_cancel();
      break;
    case 'd':
      ask_drain();
      break;
    default:
      break;
    }
  }

  void take_typed(int key) {
    if (key == '\n' || key == KEY_ENTER) {
      typing_ = false;
    } else if (key == 27) { // escape
      typing_ = false;
      typed_.clear();
    } else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
      if (!typed_.empty())
        typed_.pop_back();
    } else if (key >= 32 && key < 127 && typed_.size() < 64) {
      typed_.push_back(static_cast<char>(key));
    }
    model_.filter(typed_);
  }

  void go(TopPage page) {
    model_.show(page);
    first_ = 0;
    again_ = true;
  }

  void ask_cancel() {
    const auto* row = model_.row();
    const bool tasks = model_.page() == TopPage::tasks;
    if (row == nullptr || (!tasks && model_.page() != TopPage::jobs)) {
      said_ = "choose a job or a task to cancel (2, 3)";
      return;
    }
    ActOnJobs act;
    act.action = JobAction::cancel;
    act.reason = "from reeve top by " + session_.terminal.user;
    const auto slash = row->key.find('/');
    const auto job = parse_integer(row->key.substr(0, slash), "job", 1, std::int64_t{1} << 62);
    if (!job)
      return;
    const JobId id(static_cast<std::uint64_t>(*job));
    if (tasks) {
      const auto index = parse_integer(row->key.substr(slash + 1), "task", 0, tasks_max);
      if (index)
        act.tasks.push_back({id, {{static_cast<TaskIndex>(*index), 1, 1}}});
    } else {
      act.jobs = {id};
    }
    question_ = "cancel " + std::string(tasks ? "task " : "job ") + row->key + "?";
    wish_ = [this, act] { told(client_.act(act, std::chrono::seconds(5)), "cancelled"); };
  }

  void ask_drain() {
    const auto* row = model_.row();
    if (row == nullptr || model_.page() != TopPage::nodes) {
      said_ = "choose a node to drain (1)";
      return;
    }
    ActOnNodes act;
    const bool back = model_.chosen_drains();
    act.action = back ? NodeAction::undrain : NodeAction::drain;
    act.nodes = {row->key};
    act.reason = back ? "" : "from reeve top by " + session_.terminal.user;
    question_ = std::string(back ? "undrain " : "drain ") + row->key + "?";
    wish_ = [this, act, back] {
      told(client_.ask(act, std::chrono::seconds(5)), back ? "undrained" : "drained");
    };
  }

  void told(const Result<Done>& done, const std::string& what) {
    said_ = done ? std::to_string(done->changed) + " " + what : printable(done.error().message());
    again_ = true;
  }

  Session& session_;
  Client& client_;
  TopEvents events_;
  TopModel model_;
  TopClock::time_point asked_;
  std::uint64_t seen_ = 0;
  bool again_ = true, done_ = false, typing_ = false;
  std::string typed_, question_, said_;
  std::function<void()> wish_; // what `question_` asks
  int first_ = 0;              // row at the top
};

Exit show_top(Session& session) {
  if (!session.terminal.out_is_tty)
    return session.usage({Code::bad_field, "", "reeve top needs a terminal; see reeve stats"});
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  return Top(session, **client).run();
}

} // namespace

void add_top(Command root, Session& session) {
  root.verb("top", "Shows nodes, tasks, jobs, queues and events in the terminal, live", "reeve top",
            [&session] { return show_top(session); });
}

} // namespace reeve::cli
