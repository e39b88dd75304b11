/*
 * outlast-fetch - one small document by HTTPS: the only program of Outlast that speaks HTTP.
 *
 * The daemon starts one for each request, with nothing but pipes: the body of a POST comes on standard input, the answer
 * leaves on standard output as one line "outlast-fetch RESULT STATUS TYPE" and the body. Whatever the outcome, it is told
 * in that line; without it the daemon takes the request as failed.
 *
 * What a stranger's server may do with it: make it wait (60 s), send much (64 KiB count, more ends it), redirect it (never
 * followed), show a bad certificate (refused). No proxy, cookie, credential or .netrc is used, and the environment is
 * not read. Before the first octet of the network it gives up: root, capabilities, privileges to be gained, core files,
 * files to write, memory beyond 512 MiB, and every descriptor but its three.
 *
 *	outlast-fetch [--post TYPE] [--cacert FILE] [--connect ADDRESS]... [--port N] [--user NAME] URL
 *
 * --connect: where the host of URL is; without it the system resolves. --cacert: trust these authorities and no others.
 * --port: instead of 443. --user: who to become when root (nobody).
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BODY_BYTES_MAX ((size_t)64 * 1024)
#define POST_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define CA_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define TIME_LIMIT_S 60L
#define CONNECT_LIMIT_S 20L
#define ADDRESSES_MAX 16
#define MEMORY_BYTES_MAX ((rlim_t)512 * 1024 * 1024)

/* X509_V_ERR_*, as CURLINFO_SSL_VERIFYRESULT tells them. */
#define VERIFY_NOT_YET_VALID 9
#define VERIFY_EXPIRED 10
/* libcurl checks the name itself, before it fills the field in: what it leaves there then. */
#define VERIFY_NOT_FILLED_IN 1

struct octets {
	char *data;
	size_t len, max;
	bool is_over;
};

struct request {
	const char *url, *post_type, *authorities_path, *user;
	const char *addresses[ADDRESSES_MAX];
	unsigned address_count;
	long port;
	struct octets post, authorities, body;
};

static bool read_options(struct request *r, int argc, char **argv);
static bool read_inputs(struct request *r);
static bool give_up_rights(const struct request *r);
static int run(struct request *r);
static int answer(const char *result, long status, const char *type, const struct octets *body);

int main(int argc, char **argv)
{
	static struct request r = { .port = 443, .user = "nobody" };

	if (!read_options(&r, argc, argv)) {
		fputs("usage: outlast-fetch [--post TYPE] [--cacert FILE] [--connect ADDRESS]... "
		      "[--port N] [--user NAME] https://...\n",
			stderr);
		return 64;
	}
	if (clearenv() != 0 || !read_inputs(&r) || !give_up_rights(&r))
		return answer("setup", 0, "", NULL);
	return run(&r);
}

/* ---- what is asked ---- */

static bool read_option(struct request *r, const char *name, const char *value)
{
	if (strcmp(name, "--post") == 0) {
		r->post_type = value;
	} else if (strcmp(name, "--cacert") == 0) {
		r->authorities_path = value;
	} else if (strcmp(name, "--user") == 0) {
		r->user = value;
	} else if (strcmp(name, "--port") == 0) {
		char *end;
		r->port = strtol(value, &end, 10);
		return *end == '\0' && r->port > 0 && r->port < 65536;
	} else if (strcmp(name, "--connect") == 0 && r->address_count < ADDRESSES_MAX) {
		r->addresses[r->address_count++] = value;
		/* it becomes part of a list */
		return value[0] && strspn(value, "0123456789abcdefABCDEF.:") == strlen(value);
	} else {
		return false;
	}
	return true;
}

static bool read_options(struct request *r, int argc, char **argv)
{
	int i = 1;

	for (; i + 1 < argc; i += 2) {
		if (!read_option(r, argv[i], argv[i + 1]))
			return false;
	}
	if (i + 1 != argc)
		return false;
	r->url = argv[i];
	return strncmp(r->url, "https://", 8) == 0;
}

static bool append(struct octets *o, const char *data, size_t len)
{
	if (len > o->max - o->len) {
		o->is_over = true;
		return false;
	}
	if (!o->data)
		o->data = malloc(o->max);
	if (!o->data)
		return false;
	memcpy(o->data + o->len, data, len);
	o->len += len;
	return true;
}

static bool read_all(int fd, struct octets *out)
{
	char part[8192];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) > 0) {
		if (!append(out, part, (size_t)n))
			return false;
	}
	return n == 0;
}

/* Read while it can still be read. */
static bool read_inputs(struct request *r)
{
	bool is_read = true;

	r->post.max = POST_BYTES_MAX;
	r->authorities.max = CA_BYTES_MAX;
	r->body.max = BODY_BYTES_MAX;
	if (r->post_type)
		is_read = read_all(STDIN_FILENO, &r->post);
	if (r->authorities_path) {
		int fd = open(r->authorities_path, O_RDONLY | O_CLOEXEC);
		is_read = is_read && fd >= 0 && read_all(fd, &r->authorities);
		if (fd >= 0)
			close(fd);
	}
	return is_read;
}

/* ---- rights ---- */

static bool limit(__rlimit_resource_t resource, rlim_t value)
{
	struct rlimit l = { value, value };
	struct rlimit now;

	/* what is lower already stays */
	if (getrlimit(resource, &now) == 0 && now.rlim_max < value)
		l.rlim_cur = l.rlim_max = now.rlim_max;
	return setrlimit(resource, &l) == 0;
}

static bool become(const char *user)
{
	if (geteuid() != 0)
		return true;
	const struct passwd *pw = getpwnam(user);
	return pw && pw->pw_uid != 0 && setgroups(0, NULL) == 0 && setgid(pw->pw_gid) == 0 &&
	       setuid(pw->pw_uid) == 0 && geteuid() != 0;
}

static bool give_up_rights(const struct request *r)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	(void)syscall(SYS_close_range, 3u, ~0u, 0u);
	bool is_done = become(r->user) && syscall(SYS_capset, &header, none) == 0 &&
		       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && chdir("/") == 0 &&
		       limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NOFILE, 64);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	is_done = is_done && limit(RLIMIT_AS, MEMORY_BYTES_MAX);
#endif
	return is_done;
}

/* ---- the request ---- */

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
	struct request *r = user;

	return append(&r->body, data, size * count) ? size * count : 0;
}

/* "host:port:address,address": the certificate and SNI stay those of the host. */
static struct curl_slist *make_addresses(const struct request *r, const char *host)
{
	char line[1024];
	int len = snprintf(line, sizeof(line), "%s:%ld:", host, r->port);

	for (unsigned i = 0; i < r->address_count; i++) {
		if (len < 0 || (size_t)len >= sizeof(line))
			return NULL;
		len += snprintf(line + len, sizeof(line) - (size_t)len, "%s%s", i > 0 ? "," : "",
			r->addresses[i]);
	}
	return len > 0 && (size_t)len < sizeof(line) ? curl_slist_append(NULL, line) : NULL;
}

static bool set_url(CURL *curl, CURLU *url, const struct request *r, struct curl_slist **addresses)
{
	char port[16], *host = NULL;

	(void)snprintf(port, sizeof(port), "%ld", r->port);
	if (curl_url_set(url, CURLUPART_URL, r->url, 0) != CURLUE_OK ||
		curl_url_set(url, CURLUPART_USER, NULL, 0) != CURLUE_OK ||
		curl_url_set(url, CURLUPART_PASSWORD, NULL, 0) != CURLUE_OK ||
		(r->port != 443 && curl_url_set(url, CURLUPART_PORT, port, 0) != CURLUE_OK) ||
		curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return false;
	if (r->address_count > 0)
		*addresses = make_addresses(r, host);
	curl_free(host);
	return (r->address_count == 0 || *addresses) &&
	       curl_easy_setopt(curl, CURLOPT_CURLU, url) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_RESOLVE, *addresses) == CURLE_OK;
}

static bool set_rules(CURL *curl, struct request *r)
{
	bool is_set =
		curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_NETRC, CURL_NETRC_IGNORED) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIME_LIMIT_S) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_LIMIT_S) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_USERAGENT, "outlast/" OUTLAST_VERSION) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, r) == CURLE_OK;
	if (is_set && r->authorities_path) {
		struct curl_blob blob = { r->authorities.data, r->authorities.len,
			CURL_BLOB_NOCOPY };
		is_set = curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK &&
			 curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
	}
	return is_set;
}

static bool set_post(CURL *curl, const struct request *r, struct curl_slist **head)
{
	char type[256];
	int len = snprintf(type, sizeof(type), "Content-Type: %s", r->post_type);

	if (len < 0 || (size_t)len >= sizeof(type) || strpbrk(type, "\r\n"))
		return false;
	*head = curl_slist_append(NULL, type);
	return *head && curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *head) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->post.len) ==
		       CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->post.data ? r->post.data : "") ==
		       CURLE_OK;
}

static const char *name_of_certificate_fault(CURL *curl)
{
	long result = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &result);
	if (result == VERIFY_EXPIRED || result == VERIFY_NOT_YET_VALID)
		return "certificate-expired";
	return result == 0 || result == VERIFY_NOT_FILLED_IN ? "certificate-name"
							     : "certificate-untrusted";
}

static const char *name_of(CURL *curl, CURLcode code, const struct request *r, long status)
{
	if (r->body.is_over)
		return "large";
	if (code == CURLE_OK) {
		if (status >= 300 && status < 400)
			return "redirect";
		return status == 200 || (r->post_type && status > 200 && status < 300) ? "ok"
										       : "status";
	}
	if (code == CURLE_OPERATION_TIMEDOUT)
		return "timeout";
	if (code == CURLE_COULDNT_CONNECT)
		return "connect";
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return "resolve";
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return name_of_certificate_fault(curl);
	return code == CURLE_SSL_CONNECT_ERROR ? "tls" : "http";
}

static int run(struct request *r)
{
	struct curl_slist *addresses = NULL, *head = NULL;
	const char *result = "setup", *type = NULL;
	long status = 0;

	/* At the end of the process all of it goes: nothing is freed. */
	CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
	CURLU *url = curl_url();
	if (curl && url && set_rules(curl, r) && set_url(curl, url, r, &addresses) &&
		(!r->post_type || set_post(curl, r, &head))) {
		CURLcode code = curl_easy_perform(curl);
		(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		(void)curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
		result = name_of(curl, code, r, status);
	}
	return answer(result, status, type ? type : "", &r->body);
}

/* ---- the answer ---- */

/* The type up to its parameters, as far as it is one. */
static void print_type(const char *type)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&^_.+-/";
	size_t len = strspn(type, allowed);

	if (len == 0 || len > 100)
		putchar('-');
	else
		(void)fwrite(type, 1, len, stdout);
}

static int answer(const char *result, long status, const char *type, const struct octets *body)
{
	printf("outlast-fetch %s %ld ", result, status);
	print_type(type);
	putchar('\n');
	if (body && body->len > 0 && strcmp(result, "ok") == 0)
		(void)fwrite(body->data, 1, body->len, stdout);
	return fflush(stdout) == 0 ? 0 : 74;
}
