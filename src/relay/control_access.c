/* control_access - credentials of a peer against the system's users and groups. Unknown peers may
 * only read. */
#include "relay/control_access.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { NAME_MAX_BYTES = 256, DATABASE_BYTES = 256 * 1024 };

static bool find_user_name(uint32_t uid, char name[NAME_MAX_BYTES]);
static bool is_member(const struct peer_credentials *who, const char *group);

void control_actor(struct buf *out, const struct peer_credentials *who)
{
	char name[NAME_MAX_BYTES];

	if (!who->is_known) {
		buf_append_str(out, STR("an unknown user"));
		return;
	}
	buf_printf(out, "uid %u", (unsigned)who->uid);
	if (find_user_name(who->uid, name)) {
		buf_append_str(out, STR(" ("));
		buf_append_safe(out, str_from_c(name));
		buf_append_char(out, ')');
	}
}

bool control_may_change(const struct peer_credentials *who, struct str group)
{
	char name[NAME_MAX_BYTES];

	if (!who->is_known)
		return false;
	if (who->uid == 0 || who->uid == (uint32_t)geteuid())
		return true;
	if (!group.len || group.len >= sizeof(name))
		return false;
	memcpy(name, group.data, group.len);
	name[group.len] = '\0';
	return is_member(who, name);
}

static bool find_user_name(uint32_t uid, char name[NAME_MAX_BYTES])
{
	struct passwd entry, *found = NULL;
	char *space = mem_alloc(DATABASE_BYTES);
	bool is_found = getpwuid_r((uid_t)uid, &entry, space, DATABASE_BYTES, &found) == 0 &&
			found && strlen(entry.pw_name) < NAME_MAX_BYTES;

	if (is_found)
		memcpy(name, entry.pw_name, strlen(entry.pw_name) + 1);
	free(space);
	return is_found;
}

static bool is_member(const struct peer_credentials *who, const char *group)
{
	char name[NAME_MAX_BYTES];
	struct group entry, *found = NULL;
	char *space = mem_alloc(DATABASE_BYTES);
	bool is_in = false;

	if (getgrnam_r(group, &entry, space, DATABASE_BYTES, &found) == 0 && found) {
		is_in = who->gid == (uint32_t)entry.gr_gid;
		if (!is_in && find_user_name(who->uid, name))
			for (char **m = entry.gr_mem; *m && !is_in; m++)
				is_in = strcmp(*m, name) == 0;
	}
	free(space);
	return is_in;
}
