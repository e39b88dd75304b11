/*
 * inspect - see inspect.h. Formats: sqlite.org/fileformat2.html sections 1.3 and 4.
 *
 * The log is a header of 32 octets and frames of 24 octets and a page, each with the header's
 * salt and a running checksum. The first frame that does not fit ends it. After a crash such an
 * end is normal, but what lies behind it with the present salt can only be the rest of the one
 * transaction that was not synced, its commit frame last, and behind that what one rolled back
 * for want of space had left there. A frame whose checksum goes on from a commit frame is of
 * neither: something acknowledged was damaged.
 */
#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

enum {
	DB_HEADER_BYTES = 100,
	LOG_HEADER_BYTES = 32,
	FRAME_HEADER_BYTES = 24,
	PAGE_BYTES_MIN = 512,
	PAGE_BYTES_MAX = 65536
};
#define LOG_MAGIC 0x377f0682u /* the last bit: checksums in big-endian words */
#define LOG_VERSION 3007000u

struct log_walk {
	int fd;
	uint32_t page_bytes;
	bool is_big_endian;
	uint32_t sum[2];
	unsigned char salt[8];
	unsigned char *frame;
};

static bool has_journal(const char *path);
static char *with_suffix(const char *path, const char *suffix);
static enum err inspect_log(const char *path, bool is_db_empty, struct buf *message);
static enum err walk_log(
	struct log_walk *w, const unsigned char *header, bool is_db_empty, const char **problem);
static bool read_frame(struct log_walk *w, uint64_t number);
static bool is_next_frame(struct log_walk *w);
static bool has_lost_frames(struct log_walk *w, uint64_t number);
static void add_sum(struct log_walk *w, const unsigned char *data, size_t len);
static bool is_zero(const unsigned char *data, size_t len);
static uint32_t word(const unsigned char *p, bool is_big_endian);
static bool read_at(int fd, void *out, size_t len, uint64_t offset);
static enum err refuse(struct buf *message, const char *path, const char *problem);
static enum err fail_open(struct buf *message, const char *path, int number);

enum err inspect_files(const char *path, bool may_be_absent, struct buf *message)
{
	unsigned char header[DB_HEADER_BYTES];
	struct stat st;
	enum err err = OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && may_be_absent)
		return inspect_log(path, true, message);
	if (fd < 0)
		return fail_open(message, path, errno);
	if (fstat(fd, &st) != 0) {
		err = fail_open(message, path, errno);
	} else if (st.st_size > 0) {
		uint32_t page_bytes = 0;
		bool is_ours = read_at(fd, header, sizeof(header), 0) &&
			       memcmp(header, "SQLite format 3", 16) == 0;
		if (is_ours)
			page_bytes = (uint32_t)header[16] << 8 | header[17];
		if (page_bytes == 1)
			page_bytes = PAGE_BYTES_MAX;
		/* A rollback journal is there only while the file is being made: SQLite will
		 * undo what that left. */
		if (has_journal(path))
			err = OK;
		else if (!is_ours)
			err = refuse(message, path, "no queue file, or its beginning is damaged");
		else if (page_bytes < PAGE_BYTES_MIN || (page_bytes & (page_bytes - 1)) != 0)
			err = refuse(message, path, "its page size is damaged");
	}
	close(fd);
	return err == OK ? inspect_log(path, st.st_size == 0, message) : err;
}

enum err inspect_ends(struct sql *s)
{
	static const char *const looks[] = {
		"SELECT id, queued FROM message ORDER BY id LIMIT 1",
		"SELECT id, queued FROM message ORDER BY id DESC LIMIT 1",
		"SELECT message, state FROM recipient ORDER BY message, number LIMIT 1",
		"SELECT message, state FROM recipient ORDER BY message DESC, number DESC LIMIT 1",
		"SELECT id, length(data) FROM content ORDER BY id LIMIT 1",
		"SELECT id, length(data) FROM content ORDER BY id DESC LIMIT 1",
		"SELECT id, health FROM hop ORDER BY id LIMIT 1",
		"SELECT id, health FROM hop ORDER BY id DESC LIMIT 1",
	};
	for (size_t i = 0; i < ARRAY_COUNT(looks); i++) {
		struct query q = sql_prepare_text(s, str_from_c(looks[i]));
		if (sql_next(&q)) {
			(void)get_u64(&q);
			(void)get_u64(&q);
		}
		enum err err = sql_done(&q);
		if (err != OK)
			return err;
	}
	return OK;
}

static bool has_journal(const char *path)
{
	struct stat st;
	char *name = with_suffix(path, "-journal");
	bool is_there = stat(name, &st) == 0 && st.st_size > 0;
	free(name);
	return is_there;
}

static char *with_suffix(const char *path, const char *suffix)
{
	size_t size = strlen(path) + strlen(suffix) + 1;
	char *name = mem_alloc(size);
	int n = snprintf(name, size, "%s%s", path, suffix);
	CHECK(n > 0 && (size_t)n < size);
	return name;
}

static enum err inspect_log(const char *path, bool is_db_empty, struct buf *message)
{
	unsigned char header[LOG_HEADER_BYTES];
	struct log_walk walk = { 0 };
	const char *problem = NULL;
	char *name = with_suffix(path, "-wal");
	enum err err = OK;
	walk.fd = open(name, O_RDONLY | O_CLOEXEC);
	if (walk.fd < 0 && errno != ENOENT)
		err = fail_open(message, name, errno);
	/* All zero: the log was being made when the power went; its first commit was not synced. */
	else if (walk.fd >= 0 && read_at(walk.fd, header, sizeof(header), 0) &&
		 !is_zero(header, sizeof(header)))
		err = walk_log(&walk, header, is_db_empty, &problem);
	if (problem)
		err = refuse(message, name, problem);
	if (walk.fd >= 0)
		close(walk.fd);
	free(walk.frame);
	free(name);
	return err;
}

static enum err walk_log(
	struct log_walk *w, const unsigned char *header, bool is_db_empty, const char **problem)
{
	uint32_t magic = word(header, true);
	w->is_big_endian = (magic & 1) != 0;
	w->page_bytes = word(header + 8, true);
	memcpy(w->salt, header + 16, sizeof(w->salt));
	add_sum(w, header, 24);
	if ((magic & ~1u) != LOG_MAGIC || word(header + 4, true) != LOG_VERSION ||
		w->page_bytes < PAGE_BYTES_MIN || w->page_bytes > PAGE_BYTES_MAX ||
		(w->page_bytes & (w->page_bytes - 1)) != 0 ||
		w->sum[0] != word(header + 24, true) || w->sum[1] != word(header + 28, true)) {
		*problem = "the beginning of the log is damaged";
		return ERR_CORRUPT;
	}
	w->frame = mem_alloc(FRAME_HEADER_BYTES + (size_t)w->page_bytes);
	uint64_t number = 0;
	while (read_frame(w, number) && is_next_frame(w))
		number++;
	if (number > 0 && is_db_empty)
		*problem = "the log is there, but the file it belongs to is missing or empty";
	else if (has_lost_frames(w, number))
		*problem = "the log is damaged before its end";
	return *problem ? ERR_CORRUPT : OK;
}

static bool read_frame(struct log_walk *w, uint64_t number)
{
	size_t len = FRAME_HEADER_BYTES + (size_t)w->page_bytes;
	return read_at(w->fd, w->frame, len, LOG_HEADER_BYTES + number * len);
}

static bool is_next_frame(struct log_walk *w)
{
	if (memcmp(w->frame + 8, w->salt, sizeof(w->salt)) != 0)
		return false;
	add_sum(w, w->frame, 8);
	add_sum(w, w->frame + FRAME_HEADER_BYTES, w->page_bytes);
	return w->sum[0] == word(w->frame + 16, true) && w->sum[1] == word(w->frame + 20, true);
}

static bool has_lost_frames(struct log_walk *w, uint64_t number)
{
	bool has_commit = false;
	for (uint64_t i = number; read_frame(w, i); i++) {
		/* w->sum is what the frame before says its own is */
		if (is_next_frame(w) && has_commit)
			return true;
		has_commit = word(w->frame + 4, true) != 0;
		w->sum[0] = word(w->frame + 16, true);
		w->sum[1] = word(w->frame + 20, true);
	}
	return false;
}

static void add_sum(struct log_walk *w, const unsigned char *data, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		w->sum[0] += word(data + i, w->is_big_endian) + w->sum[1];
		w->sum[1] += word(data + i + 4, w->is_big_endian) + w->sum[0];
	}
}

static bool is_zero(const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != 0)
			return false;
	}
	return true;
}

static uint32_t word(const unsigned char *p, bool is_big_endian)
{
	if (is_big_endian)
		return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static bool read_at(int fd, void *out, size_t len, uint64_t offset)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = pread(fd, (char *)out + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static enum err refuse(struct buf *message, const char *path, const char *problem)
{
	buf_printf(message,
		"%s: %s. It has not been changed. Restore it, or save its messages with: outlast "
		"salvage",
		path, problem);
	return ERR_CORRUPT;
}

static enum err fail_open(struct buf *message, const char *path, int number)
{
	buf_printf(message, "cannot open %s: %s", path, strerror(number));
	return number == ENOENT                      ? ERR_NOT_FOUND
	       : number == EACCES || number == EPERM ? ERR_PERMISSION
						     : ERR_IO;
}
