/*
 * fuzz_conf - a configuration file: what is accepted is printed as a file that is accepted and
 * prints the same.
 */
#include "fuzz.h"

#include "conf/load.h"

#define OUT_MAX ((size_t)64 * 1024 * 1024)

static void check_refusal(const struct buf *message)
{
	struct str rest = buf_str(message);
	unsigned lines = 0;
	CHECK(rest.len > 0 && rest.data[rest.len - 1] == '\n');
	while (rest.len > 0) {
		CHECK(str_starts_fold(str_cut(&rest, '\n'), STR("fuzz.yaml:")));
		lines++;
	}
	CHECK(lines <= 20);
}

static void check_print(const struct conf *conf)
{
	struct buf once, twice, message;
	struct conf *again;
	buf_init(&once, OUT_MAX);
	buf_init(&twice, OUT_MAX);
	buf_init(&message, OUT_MAX);
	conf_print(&once, conf);
	CHECK(load_text(STR("fuzz.yaml"), buf_str(&once), false, &again, &message) == OK);
	conf_print(&twice, again);
	CHECK(str_equal(buf_str(&once), buf_str(&twice)));
	conf_unref(again);
	buf_fini(&once);
	buf_fini(&twice);
	buf_fini(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf message;
	struct conf *conf;
	buf_init(&message, OUT_MAX);
	if (load_text(STR("fuzz.yaml"), fuzz_str(data, size), false, &conf, &message) == OK) {
		CHECK(message.len == 0);
		check_print(conf);
		conf_unref(conf);
	} else {
		CHECK(!conf);
		check_refusal(&message);
	}
	buf_fini(&message);
	return 0;
}
