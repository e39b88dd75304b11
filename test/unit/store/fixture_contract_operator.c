/* Linked into each test program of the folder. */
#include "../../store/contract_operator.c"
