/*
 * outlast-sim - plays scenarios on virtual time: the real relay and the real queue in a simulated world.
 *
 * One line for each scenario and seed, with the hash of its trace; exit status 1 when a promise or an expectation
 * does not hold. A failure is replayed with --scenario, --seed and --trace. --crashes adds so many kills at random
 * instants to any scenario: then only the promises are judged. The files of the queue are in
 * memory while they are open, or with --disk where SQLite's own file system puts them. --replay plays twice, once on each, and
 * compares the traces.
 */
#include <dirent.h>
#include <getopt.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "memory_vfs.h"
#include "sim/sim_script.h"

#define SCENARIOS "test/scenarios"

struct options {
	const char *scenario;
	const char *trace;
	uint64_t seed_first, seed_last;
	unsigned days, crashes;
	bool is_verbose, is_replayed, is_on_disk;
};

static void remove_queue(const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		char path[512];

		(void)snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
		(void)unlink(path);
	}
	if (d)
		(void)closedir(d);
	(void)rmdir(directory);
}

static bool make_directory(char *out, size_t room)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(out, room, "%s/outlast-sim-XXXXXX", base);
	return mkdtemp(out) != NULL;
}

static void print_figures(const struct sim_world *w)
{
	for (uint32_t i = 0; i < w->figure_count; i++)
		printf("    %-32s %.10g\n", w->figures[i].name, w->figures[i].value);
}

/* One variant with one seed. The number of things that do not hold. */
static unsigned play(const struct options *o, struct sim_script *s,
	const struct sim_variant *variant, uint64_t seed, struct sim_world *w)
{
	char directory[64];
	FILE *trace = NULL;
	unsigned failed;

	if (!make_directory(directory, sizeof(directory))) {
		fputs("outlast-sim: cannot make a directory for the queue\n", stderr);
		return 1;
	}
	if (o->trace)
		trace = fopen(o->trace, variant && variant != s->variants ? "a" : "w");
	sim_world_init(w, seed, directory, trace);
	if (sim_script_play(s, w, variant)) {
		if (o->crashes > 0)
			sim_script_add_crashes(s, w, o->crashes);
		sim_world_boot(w);
		sim_world_run(w, o->days ? o->days * DAY_MS : s->days_ms);
		sim_world_close(w);
	}
	failed = s->error_count + w->ledger.violation_count;
	if (s->error_count == 0)
		failed += sim_script_judge(s, w, o->crashes > 0);
	if (o->is_verbose) {
		printf("  %s seed %llu:\n", variant ? variant->name : "figures",
			(unsigned long long)seed);
		print_figures(w);
	}
	sim_world_fini(w);
	sim_script_drop(s);
	if (trace)
		(void)fclose(trace);
	remove_queue(directory);
	return failed;
}

static const char *name_of(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

/* All variants with one seed; *hash is that of their traces. */
static unsigned play_variants(
	const struct options *o, struct sim_script *s, uint64_t seed, uint64_t *hash)
{
	uint32_t count = s->variant_count > 0 ? s->variant_count : 1;
	struct sim_world *worlds = mem_array(count, sizeof(*worlds));
	unsigned failed = 0;

	*hash = 0;
	for (uint32_t i = 0; i < count; i++) {
		failed +=
			play(o, s, s->variant_count > 0 ? &s->variants[i] : NULL, seed, &worlds[i]);
		*hash = *hash * 31 + worlds[i].clock.hash;
	}
	if (failed == 0 && o->crashes == 0)
		failed += sim_script_compare(s, worlds);
	free(worlds);
	return failed;
}

static bool play_seed(const struct options *o, struct sim_script *s, uint64_t seed)
{
	uint64_t hash, again;
	unsigned failed = play_variants(o, s, seed, &hash);

	if (o->is_replayed && failed == 0) {
		memory_vfs_use(false);
		failed += play_variants(o, s, seed, &again);
		memory_vfs_use(!o->is_on_disk);
		if (hash != again) {
			fprintf(stderr, "%s: seed %llu does not replay\n", s->file,
				(unsigned long long)seed);
			failed++;
		}
	}
	printf("%-6s %-24s seed %-4llu%s trace %016llx\n", failed ? "FAILED" : "passed",
		name_of(s->file), (unsigned long long)seed,
		o->crashes       ? " with crashes"
		: o->is_replayed ? " twice       "
				 : "",
		(unsigned long long)hash);
	(void)fflush(stdout);
	return failed == 0;
}

static void play_file(const struct options *o, const char *file, unsigned *passed, unsigned *failed)
{
	for (uint64_t seed = o->seed_first; seed <= o->seed_last; seed++) {
		struct sim_script s;

		if (sim_script_load(&s, file) && play_seed(o, &s, seed))
			(*passed)++;
		else
			(*failed)++;
		sim_script_free(&s);
	}
}

static int is_scenario(const struct dirent *e)
{
	return str_ends_fold(str_from_c(e->d_name), STR(".scn"));
}

static void play_all(const struct options *o, unsigned *passed, unsigned *failed)
{
	struct dirent **entries;
	int count = scandir(SCENARIOS, &entries, is_scenario, alphasort);

	for (int i = 0; i < count; i++) {
		char path[512];

		(void)snprintf(path, sizeof(path), SCENARIOS "/%s", entries[i]->d_name);
		play_file(o, path, passed, failed);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

static int usage(void)
{
	fputs("usage: outlast-sim --scenario FILE|NAME|all [--seed N | --seeds A..B] [--days D]\n"
	      "                   [--crashes N] [--replay] [--disk] [--trace FILE] [-v]\n",
		stderr);
	return 64;
}

static bool read_number(const char *text, uint64_t *out)
{
	return str_to_u64(str_from_c(text), out) == OK;
}

static bool read_seeds(struct options *o, const char *text)
{
	struct str rest = str_from_c(text), first = str_cut(&rest, '.');

	return rest.len > 1 && str_to_u64(first, &o->seed_first) == OK &&
	       str_to_u64(str_slice(rest, 1, rest.len), &o->seed_last) == OK;
}

static bool read_options(struct options *o, int argc, char **argv)
{
	static const struct option names[] = { { "scenario", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' }, { "seeds", required_argument, NULL, 'r' },
		{ "days", required_argument, NULL, 'd' }, { "trace", required_argument, NULL, 't' },
		{ "crashes", required_argument, NULL, 'k' }, { "replay", no_argument, NULL, 'p' },
		{ "disk", no_argument, NULL, 'f' }, { "verbose", no_argument, NULL, 'v' }, { NULL, 0, NULL, 0 } };
	uint64_t n;
	int c;

	*o = (struct options){ .seed_first = 1, .seed_last = 1 };
	while ((c = getopt_long(argc, argv, "v", names, NULL)) != -1) {
		if (c == 'c')
			o->scenario = optarg;
		else if (c == 't')
			o->trace = optarg;
		else if (c == 'v')
			o->is_verbose = true;
		else if (c == 'f')
			o->is_on_disk = true;
		else if (c == 'p')
			o->is_replayed = true;
		else if (c == 'k' && read_number(optarg, &n) && n < SCRIPT_CRASHES_MAX)
			o->crashes = (unsigned)n;
		else if (c == 's' && read_number(optarg, &n))
			o->seed_first = o->seed_last = n;
		else if (c == 'd' && read_number(optarg, &n) && n < 10000)
			o->days = (unsigned)n;
		else if (c != 'r' || !read_seeds(o, optarg))
			return false;
	}
	return o->scenario && optind == argc;
}

int main(int argc, char **argv)
{
	struct options o;
	unsigned passed = 0, failed = 0;
	char path[512];

	if (!read_options(&o, argc, argv))
		return usage();
	memory_vfs_use(!o.is_on_disk);
	if (!o.is_on_disk) {
		/* each life of the relay takes the same megabytes again: they are kept, not given back between */
		(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
		(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	}
	if (strcmp(o.scenario, "all") == 0) {
		play_all(&o, &passed, &failed);
	} else {
		bool is_file = strchr(o.scenario, '/') ||
			       str_ends_fold(str_from_c(o.scenario), STR(".scn"));

		(void)snprintf(
			path, sizeof(path), is_file ? "%s" : SCENARIOS "/%s.scn", o.scenario);
		play_file(&o, path, &passed, &failed);
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
