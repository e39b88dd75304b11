/* Linked into each test program of the folder. */
#include "../../store/world.c"
