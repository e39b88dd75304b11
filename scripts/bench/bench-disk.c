/*
 * bench-disk - what the disk can give: the time of one fdatasync and the rate of synced sequential writes.
 *
 * One file, removed from its directory at once. 4 KiB with an fdatasync after each, first appended (the
 * file grows, so the file system writes its own records too), then over what is there, as a log that is
 * used again does. Then 1 MiB at a time with an fdatasync after every 4 MiB over a file that was written before.
 */
#include <fcntl.h>

#include "bench.h"

#define PAGE_BYTES 4096
#define BLOCK_BYTES (INT64_C(1) << 20)
#define SYNC_BYTES (4 * BLOCK_BYTES)
#define FILE_BYTES (128 * BLOCK_BYTES)
#define WRITTEN_MAX (512 * BLOCK_BYTES)

static char block[1 << 20];

static int open_file(const char *directory)
{
	char path[4096];
	int fd, len = snprintf(path, sizeof(path), "%s/bench-disk.XXXXXX", directory);

	if (len < 0 || (size_t)len >= sizeof(path))
		die("%s: too long", directory);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || unlink(path) != 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

static void write_at(int fd, int64_t size, int64_t at)
{
	if (pwrite(fd, block, (size_t)size, at) != size)
		die("write: %s", strerror(errno));
}

static void sync_data(int fd)
{
	if (fdatasync(fd) != 0)
		die("fdatasync: %s", strerror(errno));
}

/* Pages from the start of the file; the time is that of the sync alone. Returns how many there are. */
static int64_t sync_pages(int fd, int64_t span_ns, int64_t wrap_bytes, struct times *times)
{
	int64_t at = 0, end = now_ns() + span_ns;

	while (now_ns() < end) {
		int64_t start;

		write_at(fd, PAGE_BYTES, wrap_bytes > 0 ? at % wrap_bytes : at);
		start = now_ns();
		sync_data(fd);
		times_add(times, now_ns() - start);
		at += PAGE_BYTES;
	}
	return at;
}

static double sequential_rate(int fd, int64_t span_ns)
{
	int64_t start, end, written = 0;

	for (int64_t at = 0; at < FILE_BYTES; at += BLOCK_BYTES)
		write_at(fd, BLOCK_BYTES, at);
	sync_data(fd);
	start = now_ns();
	do {
		for (int64_t i = 0; i < SYNC_BYTES; i += BLOCK_BYTES)
			write_at(fd, BLOCK_BYTES, (written + i) % FILE_BYTES);
		sync_data(fd);
		written += SYNC_BYTES;
		end = now_ns();
	} while (written < WRITTEN_MAX && end - start < span_ns);
	return (double)written / 1e6 / seconds_of(end - start);
}

static void print_times(const char *name, const struct times *times)
{
	printf("\"%s\":{\"count\":%lld,\"min\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
	       "\"max\":%.1f},",
		name, (long long)times->count, (double)times->min_ns / 1000, times_us(times, 0.5),
		times_us(times, 0.9), times_us(times, 0.99), (double)times->max_ns / 1000);
}

static const char usage[] =
	"bench-disk --directory DIR [--seconds S]\n"
	"  --seconds S   for each of the three parts, the last at most 512 MiB (2)\n"
	"Prints one line of JSON: fdatasync_us for 4 KiB appended, fdatasync_over_us for 4 KiB "
	"written\n"
	"over, sync_write_mb_s in millions of octets per second.\n";

int main(int argc, char **argv)
{
	const char *directory = NULL;
	int64_t seconds = 2, span_ns, bytes;
	const struct option_row rows[] = {
		OPTION_TEXT("directory", &directory),
		OPTION_NUMBER("seconds", &seconds, 1, 600),
		{ .name = NULL },
	};
	static struct times appended, over;
	double rate;
	int fd;

	read_options(argc, argv, rows, usage);
	if (directory == NULL)
		die("%s", usage);
	span_ns = seconds * NS_PER_SECOND;
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 2654435761u >> 13);
	fd = open_file(directory);
	bytes = sync_pages(fd, span_ns, 0, &appended);
	sync_pages(fd, span_ns, bytes, &over);
	rate = sequential_rate(fd, span_ns);
	printf("{");
	print_times("fdatasync_us", &appended);
	print_times("fdatasync_over_us", &over);
	printf("\"sync_write_mb_s\":%.1f}\n", rate);
	close(fd);
	return 0;
}
