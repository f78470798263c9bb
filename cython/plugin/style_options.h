// The words after `pair_style mliap`: model files and keywords.
#ifndef LAMMPS_MACE_STYLE_OPTIONS_H
#define LAMMPS_MACE_STYLE_OPTIONS_H

#include <cstdint>
#include <string>
#include <vector>

namespace lammps_mace {

struct StyleOptions {
  std::vector<std::string> files;    // of models; those after the first are members of a committee
  bool start_check = true;
  bool exclusions_allowed = false;
  bool mean = false;             // of all models; else the first one drives
  std::string deviation_file;    // empty: none
  int64_t every = 0;             // steps between its lines
  double stop = -1.0;            // eV/Angstrom in `metal`; negative: never

  bool for_several() const { return said_committee || !deviation_file.empty(); }

  // Reads the words; returns what is wrong with them and what to write instead, empty if nothing is.
  std::string read(const std::vector<std::string> &words);

 private:
  std::string read_files(const std::vector<std::string> &words, size_t &at);
  std::string read_keyword(const std::vector<std::string> &words, size_t &at);
  std::string read_deviation(const std::vector<std::string> &values);
  std::string read_stop(const std::string &value);

  bool said_committee = false;
};

}    // namespace lammps_mace

#endif
