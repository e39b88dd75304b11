/*
 * daemon_user - from root to an ordinary user. Kept is one capability, to bind ports below 1024 (also at a reload); without
 * it a reload could not open port 25 again.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "main/daemon.h"

static enum err fail(struct buf *message, const char *what, const char *name)
{
	buf_printf(message, "%s %s: %s\n", what, name, strerror(errno));
	return ERR_PERMISSION;
}

/* A directory of the daemon's: made if need be, and the user's. */
static enum err own_directory(
	const char *path, const struct passwd *pw, mode_t mode, struct buf *message)
{
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return fail(message, "cannot make", path);
	if (chown(path, pw->pw_uid, pw->pw_gid) != 0)
		return fail(message, "cannot give away", path);
	return OK;
}

static enum err keep_bind_right(struct buf *message)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	data[0].effective = data[0].permitted = 1u << CAP_NET_BIND_SERVICE;
	if (syscall(SYS_capset, &header, data) != 0)
		return fail(message, "cannot keep", "CAP_NET_BIND_SERVICE");
	return OK;
}

enum err daemon_become_user(const struct conf *conf, struct buf *message)
{
	struct buf path;
	const struct passwd *pw;
	enum err err;

	if (geteuid() != 0 || conf->user.len == 0)
		return OK;
	pw = getpwnam(conf->user.data);
	if (!pw) {
		buf_printf(message,
			"user '%s' does not exist: create it (adduser --system --group %s) or "
			"change 'user'\n",
			conf->user.data, conf->user.data);
		return ERR_NOT_FOUND;
	}
	err = own_directory(conf->queue.directory.data, pw, 0700, message);
	buf_init(&path, 4096);
	buf_append_str(&path, conf->control.socket);
	while (path.len > 1 && path.data[path.len - 1] != '/')
		path.len--;
	if (path.len > 1) {
		path.len--;
		if (err == OK && access(buf_cstr(&path), F_OK) != 0)
			err = own_directory(buf_cstr(&path), pw, 0755, message);
	}
	buf_fini(&path);
	if (err != OK)
		return err;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || initgroups(pw->pw_name, pw->pw_gid) != 0 ||
		setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
		return fail(message, "cannot become user", pw->pw_name);
	return keep_bind_right(message);
}
