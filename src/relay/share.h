/*
 * share - one dead site must not take all of the disk: site-share of what is usable, then RCPT for its next hops gets 452.
 *
 * Looked at with the totals of upkeep. As long as the whole queue is smaller than any site may be nothing is read. Else the
 * next hops with mail are read by pages, those of sites that are down are summed, and the next hops of each that has too
 * much are kept as hashes until it has less than 95 % of its share again. A next hop that nobody knows is accepted: at the
 * next look it is known. Thread: loop.
 */
#ifndef RELAY_SHARE_H
#define RELAY_SHARE_H

#include "relay/relay_private.h"

void share_init(struct relay *r);
void share_fini(struct relay *r);
/* share_look - totals are new: later, the answers of share_is_over are. */
void share_look(struct relay *r, const struct store_stats *stats);
bool share_is_busy(const struct relay *r);
/* share_is_over - mail for that next hop finds no room. Costs nothing while no site has too much. */
bool share_is_over(const struct relay *r, struct str hop);

#endif
