/* Linked into each test program of the folder. */
#include "../../store/fake_env.c"
