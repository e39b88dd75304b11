/* The simulator's env port, for the tests of this folder too. */
#include "sim/sim_env.c"
