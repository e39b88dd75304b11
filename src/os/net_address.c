/* net_address - endpoints as the kernel wants them, and back. */
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "base/check.h"
#include "net_uv.h"

_Static_assert(sizeof(((struct endpoint *)0)->path) < sizeof(((struct sockaddr_un *)0)->sun_path),
	"a path fits, terminated");

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(e->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	CHECK(e->family != FAMILY_NONE);
	memset(out, 0, sizeof(*out));
	switch (e->family) {
	case FAMILY_IPV4:
		memcpy(&v4.sin_addr, e->ip, 4);
		memcpy(out, &v4, sizeof(v4));
		return sizeof(v4);
	case FAMILY_IPV6:
		memcpy(&v6.sin6_addr, e->ip, 16);
		memcpy(out, &v6, sizeof(v6));
		return sizeof(v6);
	case FAMILY_UNIX:
		memcpy(un.sun_path, e->path, sizeof(e->path));
		memcpy(out, &un, sizeof(un));
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				   strnlen(e->path, sizeof(e->path)) + 1);
	case FAMILY_NONE:
		break;
	}
	return 0;
}

void endpoint_from_sockaddr(const struct sockaddr_storage *from, struct endpoint *out)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;

	*out = (struct endpoint){ .family = FAMILY_NONE };
	switch (from->ss_family) {
	case AF_INET:
		memcpy(&v4, from, sizeof(v4));
		out->family = FAMILY_IPV4;
		out->port = ntohs(v4.sin_port);
		memcpy(out->ip, &v4.sin_addr, 4);
		break;
	case AF_INET6:
		memcpy(&v6, from, sizeof(v6));
		out->family = FAMILY_IPV6;
		out->port = ntohs(v6.sin6_port);
		memcpy(out->ip, &v6.sin6_addr, 16);
		break;
	case AF_UNIX:
		memcpy(&un, from, sizeof(un));
		out->family = FAMILY_UNIX;
		memcpy(out->path, un.sun_path, sizeof(out->path) - 1);
		break;
	}
}
