/* Linked into each test program of the folder. */
#include "../../store/contract_shelf.c"
