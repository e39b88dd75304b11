/* The simulator's dns port, for the tests of this folder too. */
#include "sim/sim_dns.c"
