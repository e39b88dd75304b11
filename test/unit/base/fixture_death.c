/* fixture_death - a child process whose stderr is a pipe. */
#include "fixture_death.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_child(void (*body)(void *arg), void *arg, int err_fd);

int death_signal(void (*body)(void *arg), void *arg, char *said, size_t size)
{
	int fds[2];
	if (pipe(fds) != 0)
		abort();
	pid_t child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		close(fds[0]);
		run_child(body, arg, fds[1]);
	}
	close(fds[1]);
	char trash[256];
	size_t len = 0;
	for (;;) {
		bool has_room = said && len + 1 < size;
		ssize_t n = read(fds[0], has_room ? said + len : trash,
			has_room ? size - 1 - len : sizeof(trash));
		if (n <= 0)
			break;
		if (has_room)
			len += (size_t)n;
	}
	if (said)
		said[len] = '\0';
	close(fds[0]);
	int status = 0;
	if (waitpid(child, &status, 0) != child)
		abort();
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void run_child(void (*body)(void *arg), void *arg, int err_fd)
{
	static const struct rlimit no_core = { 0, 0 };
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGABRT, SIG_DFL);
	dup2(err_fd, STDERR_FILENO);
	body(arg);
	_exit(0);
}
