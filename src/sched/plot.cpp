// The picture of a simulation (see sim.hpp): plain SVG, no script, readable in print.
#include "src/sched/sim.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace reeve::sched {
namespace {

constexpr double width = 900, panel = 220, left = 70, right = 20, top = 40, gap = 50;
// Colours that people with colour blindness tell apart (Okabe and Ito, 2008).
constexpr std::array colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                             "#E69F00", "#56B4E9", "#000000"};

std::string number(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", x);
  return text.data();
}
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '<'   ? "&lt;"
           : c == '>' ? "&gt;"
           : c == '&' ? "&amp;"
           : c == '"' ? "&quot;"
                      : std::string(1, c);
  return out;
}
std::string label(double x, double y, const std::string& text, const char* anchor = "middle") {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\">" +
         escaped(text) + "</text>\n";
}
std::string line(double x1, double y1, double x2, double y2) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) +
         "\" y2=\"" + number(y2) + "\" stroke=\"#ccc\"/>\n";
}
/// 1, 2 or 5 times a power of ten, so that about five steps reach `most`.
double step_for(double most) {
  if (!(most > 0))
    return 1;
  const double rough = most / 5, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (rough <= factor * power)
      return factor * power;
  return 10 * power;
}

} // namespace

std::string plot_svg(const std::string& title,
                     std::span<const std::pair<std::string, SimResult>> results) {
  const double height = top + 2 * panel + gap + 60 + 18 * static_cast<double>(results.size());
  double seconds = 0, waiting = 1;
  for (const auto& [name, result] : results)
    for (const SimSample& s : result.samples) {
      seconds = std::max(seconds, static_cast<double>(s.at.count()) / 1e6);
      waiting = std::max(waiting, static_cast<double>(s.waiting));
    }
  const bool hours = seconds > 7200;
  const double unit = hours ? 3600 : 1, length = std::max(seconds / unit, 1e-9);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(width) +
                    "\" height=\"" + number(height) +
                    "\" font-family=\"sans-serif\" font-size=\"12\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" +
                    label(width / 2, 20, title);
  const double inner = width - left - right;
  for (int p = 0; p < 2; ++p) {
    const double base = top + panel + p * (panel + gap), most = p == 0 ? 1 : waiting;
    const double y_step = step_for(most), x_step = step_for(length);
    const auto x_of = [&](double x) { return left + inner * x / length; };
    const auto y_of = [&](double y) { return base - panel * y / most; };
    for (double y = 0; y <= most * 1.0001; y += y_step)
      out += line(left, y_of(y), left + inner, y_of(y)) +
             label(left - 6, y_of(y) + 4, p == 0 ? number(y * 100) + " %" : number(y), "end");
    for (double x = 0; x <= length * 1.0001; x += x_step)
      out += line(x_of(x), base, x_of(x), base - panel) + label(x_of(x), base + 16, number(x));
    out += label(left, base - panel - 6, p == 0 ? "vcores in use" : "tasks waiting", "start");
    for (std::size_t r = 0; r < results.size(); ++r) {
      out += "<polyline fill=\"none\" stroke-width=\"1.3\" stroke=\"" +
             std::string(colours[r % colours.size()]) + "\" points=\"";
      double last = 0;
      for (const SimSample& s : results[r].second.samples) { // steps: it stays until it changes
        const double x = x_of(static_cast<double>(s.at.count()) / 1e6 / unit);
        const double y = y_of(p == 0 ? s.used : static_cast<double>(s.waiting));
        out += number(x) + "," + number(&s == &results[r].second.samples.front() ? y : last) + " " +
               number(x) + "," + number(y) + " ";
        last = y;
      }
      out += "\"/>\n";
    }
  }
  const double below = top + 2 * panel + gap + 36;
  out += label(left + inner / 2, below - 2, hours ? "hours" : "seconds");
  for (std::size_t r = 0; r < results.size(); ++r) {
    const double y = below + 18 + 18 * static_cast<double>(r);
    out += "<rect x=\"" + number(left) + "\" y=\"" + number(y - 10) +
           "\" width=\"12\" height=\"12\" fill=\"" + colours[r % colours.size()] + "\"/>\n" +
           label(left + 18, y, results[r].first, "start");
  }
  return out + "</svg>\n";
}

} // namespace reeve::sched
