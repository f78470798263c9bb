// What a restart file holds of our pair style, as bytes.
#include "restart_record.h"

#include <charconv>

namespace lammps_mace {
namespace {

  const char *const title = "mliap unified";    // what a LAMMPS without our plugin prints
  const char *const version = "2";              // of several models; 1 held one

  // The words of a list, each ended by a zero byte as all of them are, after how many they are.
  std::string listed(const std::vector<std::string> &words)
  {
    std::string text = std::to_string(words.size()) + '\0';
    for (const auto &word : words) text += word + '\0';
    return text;
  }

  class Reader {
   public:
    explicit Reader(const std::string &bytes) : bytes(bytes) {}
    bool good() const { return !failed; }
    bool at_end() const { return at == bytes.size(); }

    std::string word()
    {
      const size_t end = bytes.find('\0', at);
      if (failed || end == std::string::npos) return failed = true, "";
      const std::string found = bytes.substr(at, end - at);
      at = end + 1;
      return found;
    }

    std::vector<std::string> list()
    {
      const std::string count = word();
      unsigned n = 0;
      const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), n);
      if (error != std::errc() || end != count.data() + count.size()) failed = true;
      std::vector<std::string> words;
      for (unsigned i = 0; i < n && !failed; i++) words.push_back(word());
      return words;
    }

   private:
    const std::string &bytes;
    size_t at = 0;
    bool failed = false;
  };

}    // namespace

std::string RestartRecord::bytes() const
{
  std::string text;
  for (const char *word : {title, version}) text += word + std::string(1, '\0');
  std::vector<std::string> words;
  for (const Model &model : models) words.insert(words.end(), {model.sha256, model.path});
  return text + listed(words) + listed(style) + listed(coeff);
}

bool RestartRecord::parse(const std::string &bytes)
{
  Reader reader(bytes);
  if (reader.word() != title) return false;
  const std::string found = reader.word();
  std::vector<std::string> words;
  if (found == version)
    words = reader.list();
  else if (found == "1")
    words = {reader.word(), reader.word()};
  else
    return false;
  models.clear();
  for (size_t k = 0; k + 1 < words.size(); k += 2) models.push_back({words[k], words[k + 1]});
  style = reader.list();
  coeff = reader.list();
  return reader.good() && reader.at_end() && words.size() % 2 == 0 && style.size() > models.size();
}

}    // namespace lammps_mace
