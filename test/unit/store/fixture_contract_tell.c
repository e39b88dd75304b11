/* Linked into each test program of the folder. */
#include "../../store/contract_tell.c"
