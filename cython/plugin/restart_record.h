// What a restart file holds of our pair style, as bytes.
#ifndef LAMMPS_MACE_RESTART_RECORD_H
#define LAMMPS_MACE_RESTART_RECORD_H

#include <string>
#include <vector>

namespace lammps_mace {

struct RestartRecord {
  struct Model {
    std::string sha256, path;    // of its sidecar; absolute, of the model file
  };
  std::vector<Model> models;         // a file each
  std::vector<std::string> style;    // the words after `pair_style mliap`
  std::vector<std::string> coeff;    // the words after `pair_coeff`; none where a hybrid style has to be told again

  // LAMMPS's record of a style that stores nothing: a LAMMPS without our plugin skips it, and asks for a pair_style as it does
  // for its own mliap.
  static constexpr int kind = 59;    // NO_PAIR in LAMMPS's lmprestart.h, a number of its file format
  static constexpr int most_bytes = 1 << 20;

  bool empty() const { return style.empty(); }
  std::string bytes() const;
  // False where these are not the bytes of a record.
  bool parse(const std::string &bytes);
};

}    // namespace lammps_mace

#endif
