/* daemon_notify - the service manager's side: sd_notify(3) and socket activation, without its library. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/instant.h"
#include "main/daemon.h"

#define LISTEN_FDS_START 3

void daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len == 0 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	/* nobody to tell about a failure: the service manager will notice by itself */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

static bool env_number(const char *name, uint64_t *out)
{
	const char *text = getenv(name);

	return text && str_to_u64(str_from_c(text), out) == OK;
}

int64_t daemon_watchdog_ms(void)
{
	uint64_t us, pid;

	if (env_number("WATCHDOG_PID", &pid) && pid != (uint64_t)getpid())
		return 0;
	if (!env_number("WATCHDOG_USEC", &us) || us == 0 || us > 86400000000u)
		return 0;
	return (int64_t)(us / 1000 / 3);
}

unsigned daemon_inherited_fds(int *first)
{
	uint64_t pid, count;

	*first = LISTEN_FDS_START;
	if (!env_number("LISTEN_PID", &pid) || pid != (uint64_t)getpid())
		return 0;
	return env_number("LISTEN_FDS", &count) && count <= 64 ? (unsigned)count : 0;
}
