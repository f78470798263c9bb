// The words after `pair_style mliap`: model files and keywords.
#include "style_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace lammps_mace {
namespace {

  const std::string style = "pair_style mliap unified: ";
  const std::string form = "write `pair_style mliap unified FILE.model";
  const std::string several_form = "write `pair_style mliap unified A.model B.model 0 ";

  struct Keyword {
    const char *name;
    size_t n_values;
  };

  const Keyword keywords[] = {{"start_check", 1}, {"exclusions", 1}, {"committee", 2}, {"deviation", 3}, {"stop", 1}};

  const Keyword *keyword(const std::string &word)
  {
    const auto found =
        std::find_if(std::begin(keywords), std::end(keywords), [&](const Keyword &one) { return word == one.name; });
    return found == std::end(keywords) ? nullptr : found;
  }

  bool is_model_file(const std::string &word)
  {
    const std::string end = ".model";
    return word.size() > end.size() && word.compare(word.size() - end.size(), end.size(), end) == 0;
  }

  std::string choose(const std::string &name, const std::string &value, const char *yes, const char *no, bool &chosen)
  {
    if (value != yes && value != no) return name + " must be " + yes + " or " + no + ", got '" + value + "'";
    chosen = value == yes;
    return "";
  }

}    // namespace

std::string StyleOptions::read(const std::vector<std::string> &words)
{
  *this = {};
  if (words.empty() || words[0] != "unified")
    return "pair_style mliap: keyword '" + (words.empty() ? "" : words[0]) +
        "' belongs to LAMMPS's own mliap, which "
        "cannot take the place of `mliap unified` or share a hybrid line with it: write `pair_style none` before it";
  size_t at = 1;
  std::string wrong = read_files(words, at);
  while (wrong.empty() && at < words.size()) wrong = read_keyword(words, at);
  if (wrong.empty() && stop >= 0.0 && deviation_file.empty())
    wrong = "stop needs `deviation FILE every N`, which says how often the models are compared: " + several_form +
        "deviation FILE every N stop F`";
  return wrong.empty() ? "" : style + wrong;
}

std::string StyleOptions::read_files(const std::vector<std::string> &words, size_t &at)
{
  if (at == words.size()) return "no model file given: " + form + "`";
  files = {words[at++]};
  while (at < words.size() && is_model_file(words[at])) files.push_back(words[at++]);
  if (at == words.size() || keyword(words[at])) return "";
  if (words[at] != "0")
    return "ghostneigh must be 0, got '" + words[at] +
        "': ranks exchange the features of ghost atoms, neighbours of ghosts are not needed: " + form + " 0`";
  at++;
  return "";
}

std::string StyleOptions::read_keyword(const std::vector<std::string> &words, size_t &at)
{
  const std::string name = words[at++];
  const Keyword *const found = keyword(name);
  if (!found)
    return "unknown option '" + name + "': " + form +
        " 0 start_check no`, `... 0 exclusions allow`, or nothing after the 0; "
        "for several models see also committee, deviation and stop";
  std::vector<std::string> values;
  while (values.size() < found->n_values) values.push_back(at < words.size() ? words[at++] : "");
  if (name == "start_check") {
    const std::string wrong = choose(name, values[0], "yes", "no", start_check);
    return wrong.empty() ? "" : wrong + ": " + form + " 0 start_check no`";
  }
  if (name == "exclusions") {
    const std::string wrong = choose(name, values[0], "allow", "refuse", exclusions_allowed);
    return wrong.empty() ? "" : wrong + ": " + form + " 0 exclusions allow`";
  }
  if (name == "deviation") return read_deviation(values);
  if (name == "stop") return read_stop(values[0]);
  said_committee = true;
  const std::string wrong = values[0] == "drive" ? choose("committee drive", values[1], "mean", "first", mean)
                                                 : "committee must be followed by drive, got '" + values[0] + "'";
  return wrong.empty() ? "" : wrong + ": " + several_form + "committee drive mean`";
}

std::string StyleOptions::read_deviation(const std::vector<std::string> &values)
{
  const std::string remedy = several_form + "deviation FILE every 10`";
  if (values[0].empty()) return "deviation: no file given: " + remedy;
  if (values[1] != "every") return "deviation FILE must be followed by every, got '" + values[1] + "': " + remedy;
  const char *const end = values[2].data() + values[2].size();
  const auto [read, error] = std::from_chars(values[2].data(), end, every);
  if (error != std::errc() || read != end || every < 1)
    return "every must be a number of steps, 1 or more, got '" + values[2] + "': " + remedy;
  deviation_file = values[0];
  return "";
}

std::string StyleOptions::read_stop(const std::string &value)
{
  char *end = nullptr;
  stop = std::strtod(value.c_str(), &end);
  if (!value.empty() && !*end && std::isfinite(stop) && stop > 0.0) return "";
  return "stop must be a force larger than 0, got '" + value + "': " + several_form + "deviation FILE every 10 stop 0.5`";
}

}    // namespace lammps_mace
