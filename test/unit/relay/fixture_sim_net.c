/* The simulator's net port, for the tests of this folder too. */
#include "sim/sim_net.c"
