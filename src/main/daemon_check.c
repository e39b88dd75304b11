/*
 * daemon_check - what the configuration leads to on this machine: whether certificates can be read, and what would silently not
 * work. --check-config says all of it before a start or reload does; a start and a reload log the warnings.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "main/daemon.h"

static void check_helper(const struct conf *conf, struct buf *warnings)
{
	if (conf->fetch_helper.len == 0 || !conf->policy.has_sts ||
		access(conf->fetch_helper.data, X_OK) == 0)
		return;
	buf_printf(warnings,
		"fetch-helper %s: %s: no MTA-STS policy can be fetched. 'make install' puts it "
		"there; "
		"or set delivery.mta-sts: no\n",
		conf->fetch_helper.data, strerror(errno));
}

static bool asks_for_dane(const struct conf *conf)
{
	bool asks = conf->policy.tls == TLS_DANE;

	for (uint32_t i = 0; i < conf->destination_count; i++)
		asks |= conf->destinations[i].policy.tls == TLS_DANE;
	for (uint32_t i = 0; i < conf->route_count; i++)
		asks |= conf->routes[i].has_tls && conf->routes[i].tls == TLS_DANE;
	return asks;
}

static void check_resolver(const struct conf *conf, struct buf *warnings)
{
	bool has_local = conf->dns.has_trusted_ad || conf->dns.server_count == 0;

	for (uint32_t i = 0; i < conf->dns.server_count; i++)
		has_local |= endpoint_is_loopback(&conf->dns.servers[i]);
	if (!has_local && asks_for_dane(conf))
		buf_append_str(warnings, STR("'tls: dane' without a resolver that is believed "
					     "about DNSSEC: that mail "
					     "will wait. Run a validating resolver on this host "
					     "and set dns.servers: "
					     "[127.0.0.1], or set dns.trust-ad\n"));
}

static void check_proxies(const struct conf *conf, struct buf *warnings)
{
	for (uint32_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].is_proxied)
			return;
	if (conf->proxy_count > 0)
		buf_append_str(
			warnings, STR("proxy-from is set, but no listener has 'proxy: yes'\n"));
}

static void check_tls(const struct conf *conf, struct buf *warnings)
{
	bool is_offered = false;

	for (uint32_t i = 0; i < conf->listener_count; i++) {
		is_offered |= conf->listeners[i].tls != LISTENER_PLAIN;
		if (conf->listeners[i].is_submission && conf->listeners[i].tls == LISTENER_PLAIN &&
			!endpoint_is_loopback(&conf->listeners[i].at))
			buf_append_str(warnings,
				STR("a listener with 'submission: yes' has no TLS: set 'tls: "
				    "starttls' (port 587) or 'tls: implicit' (port 465)\n"));
	}
	if (conf->tls.certificate.len > 0 && !is_offered)
		buf_append_str(warnings, STR("tls.certificate is set, but no listener has 'tls: "
					     "starttls' or 'tls: implicit'\n"));
}

static void check_user(const struct conf *conf, struct buf *warnings)
{
	if (conf->user.len > 0 && geteuid() == 0 && !getpwnam(conf->user.data))
		buf_printf(warnings,
			"user '%s' does not exist: create it with 'adduser --system --group %s'\n",
			conf->user.data, conf->user.data);
}

void daemon_warn(const struct conf *conf, struct buf *warnings)
{
	check_user(conf, warnings);
	check_tls(conf, warnings);
	check_proxies(conf, warnings);
	check_resolver(conf, warnings);
	check_helper(conf, warnings);
}

void daemon_look_as_user(const struct conf *conf)
{
	const struct passwd *pw = conf->user.len > 0 ? getpwnam(conf->user.data) : NULL;

	if (geteuid() != 0 || !pw)
		return;
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
		setuid(pw->pw_uid) != 0)
		fprintf(stderr,
			"outlastd: warning: files are looked at as root, not as user '%s': %s\n",
			conf->user.data, strerror(errno));
}
