// What `reeve top` shows, without a terminal: tables of nodes, running tasks, jobs, queues and
// events out of the master's answers, sorted, filtered, with one row chosen. Pure: time comes with
// the answers.
#pragma once

#include "src/util/table.hpp"

#include "messages/protocol.hpp"

#include <deque>

namespace reeve::cli {

enum class TopPage : std::uint8_t { nodes, tasks, jobs, queues, events, last_ = events };

/// What is known of the cluster at one moment.
struct TopFacts {
  TimePoint now;
  std::optional<Stats> stats;
  std::vector<NodeView> nodes;
  std::vector<JobView> jobs;   // that have not ended
  std::vector<TaskView> tasks; // that nodes have, of the newest jobs
  std::deque<Event> events;    // newest first
  std::string trouble;         // why there is nothing new; empty: all well
};

class TopModel {
public:
  struct Row {
    std::vector<Table::Cell> cells;
    std::string key;                 // node, job or job/task
    std::vector<std::int64_t> order; // a number for each column that sorts by number
  };

  void update(TopFacts facts);
  void show(TopPage page);
  [[nodiscard]] TopPage page() const { return page_; }
  void next_sort();
  void turn() { down_ = !down_, build(); }
  void filter(std::string text) { filter_ = std::move(text), build(); }
  [[nodiscard]] const std::string& filter() const { return filter_; }
  /// Moves the choice by so many rows; it stays on its row when others come and go.
  void move(int by);

  [[nodiscard]] const std::vector<Table::Column>& columns() const { return columns_; }
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  [[nodiscard]] std::size_t chosen() const { return chosen_; }
  /// Nothing when there is no row.
  [[nodiscard]] const Row* row() const;
  /// "by BOOKED, most first"
  [[nodiscard]] std::string order_text() const;
  /// Lines above the table: nodes, tasks, rates, use.
  [[nodiscard]] std::vector<std::string> head(std::size_t width) const;
  [[nodiscard]] const TopFacts& facts() const { return facts_; }
  /// The chosen node is draining.
  [[nodiscard]] bool chosen_drains() const;

private:
  void build();
  void build_nodes();
  void build_tasks();
  void build_jobs();
  void build_queues();
  void build_events();
  void add(std::vector<Table::Cell> cells, std::string key, std::vector<std::int64_t> order);

  TopFacts facts_;
  double ended_a_second_ = 0, submitted_a_second_ = 0;
  TopPage page_ = TopPage::nodes;
  std::size_t sort_ = 0; // column
  bool down_ = false;
  std::string filter_;
  std::vector<Table::Column> columns_;
  std::vector<Row> rows_;
  std::size_t chosen_ = 0;
  std::string chosen_key_;
};

} // namespace reeve::cli
