/*
 * control_access - who is at the other end of the control socket, and what they may do there.
 *
 * Asks the user and group database of the system. Local files in practice; a slow directory service
 * would hold up the loop for that long, at each new connection of somebody who is neither root nor
 * ourselves.
 */
#ifndef RELAY_CONTROL_ACCESS_H
#define RELAY_CONTROL_ACCESS_H

#include "base/buf.h"
#include "port/net.h"

/* control_actor - appends "uid 0 (root)". */
void control_actor(struct buf *out, const struct peer_credentials *who);
/* control_may_change - root, our own user, members of group (by their primary group or its list).
 * */
bool control_may_change(const struct peer_credentials *who, struct str group);

#endif
