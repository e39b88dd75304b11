/* fixture_bench - what an attempt needs, over scripted servers: env, net, configuration, pool, a
 * message, a route. */
#ifndef TEST_UNIT_DELIVER_FIXTURE_BENCH_H
#define TEST_UNIT_DELIVER_FIXTURE_BENCH_H

#include "deliver/attempt.h"
#include "fixture_net.h"

#define BENCH_RECIPIENTS 3

struct bench {
	struct fixture_env env;
	struct fixture_net net;
	struct conf *conf;
	struct pool *pool;
	struct route route;
	struct envelope message;
	struct queued_recipient recipients[BENCH_RECIPIENTS];
	struct content_reader content;
	struct deferred part;
	bool is_content_missing;
	unsigned parts;
	struct attempt attempt;
	unsigned done;
	bool is_known_good, is_probe, is_limited;
};

void bench_setup(struct bench *b);
void bench_teardown(struct bench *b);
/* bench_add_server - a server that listens at ip:25 and is the route's next target. */
struct fixture_server *bench_add_server(struct bench *b, const char *ip);
/* bench_start - a new attempt, after ending the last one. */
void bench_start(struct bench *b, uint32_t recipient_count);
/* bench_run - bench_start, then the loop until it is done. */
void bench_run(struct bench *b, uint32_t recipient_count);

#endif
