/*
 * behaviour - how a destination of outlast-sink behaves, and the commands that change it.
 *
 *   up | clear                     all as usual again | only the rules go
 *   refuse                         the listener closes, connections are cut
 *   hang                           accepts, never greets
 *   cut                            resets the connections that are open
 *   greet CODE TEXT                reply banner CODE TEXT
 *   [once | times N] reply STAGE CODE TEXT [for GLOB]      TEXT may hold \n for a reply of several lines
 *   [once | times N] raw STAGE OCTETS [for GLOB]           \r \n \0 \\ and \xHH; sent as they are
 *   [once | times N] drop STAGE [rst] [for GLOB]
 *   [once | times N] drop-after-dot [for GLOB]             the message counts as received, the reply is lost
 *   rate N/s [CODE TEXT] | rate off
 *   max-connections N | max-connections off
 *   delay STAGE MS
 *   ext -KEYWORD +KEYWORD ...
 *
 * STAGE: banner ehlo mail rcpt data content dot quit. GLOB: the recipient at rcpt, the sender at
 * mail, either at data, content and dot, the argument at ehlo. The newest rule that matches wins.
 */
#ifndef TOOLS_BEHAVIOUR_H
#define TOOLS_BEHAVIOUR_H

#include <ctype.h>
#include <fnmatch.h>

#include "loop.h"

enum stage {
	STAGE_BANNER,
	STAGE_EHLO,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA,
	STAGE_CONTENT,
	STAGE_DOT,
	STAGE_QUIT,
	STAGE_COUNT
};

static const char *const stage_names[STAGE_COUNT] = { "banner", "ehlo", "mail", "rcpt", "data",
	"content", "dot", "quit" };

enum action { ACTION_REPLY, ACTION_DROP, ACTION_RESET, ACTION_UNANSWERED };

struct rule {
	struct rule *next;
	enum stage stage;
	enum action action;
	struct bytes reply; /* complete, with line ends */
	char *glob;         /* NULL: all */
	int64_t left;       /* -1: for ever */
};

struct behaviour {
	bool is_refusing, is_hanging;
	bool is_cutting; /* for the caller to do, and to clear */
	struct rule *rules;
	int64_t delay_ms[STAGE_COUNT];
	double rate; /* messages a second, 0: no limit */
	double rate_left;
	int64_t rate_at_ms;
	char *rate_reply;
	int64_t connections_max; /* 0: no limit */
	struct texts ext_off, ext_on;
};

static inline void rule_free(struct rule *rule)
{
	bytes_free(&rule->reply);
	free(rule->glob);
	free(rule);
}

static inline void behaviour_clear_rules(struct behaviour *behaviour)
{
	while (behaviour->rules != NULL) {
		struct rule *rule = behaviour->rules;

		behaviour->rules = rule->next;
		rule_free(rule);
	}
}

static inline void behaviour_reset(struct behaviour *behaviour)
{
	behaviour_clear_rules(behaviour);
	texts_clear(&behaviour->ext_off);
	texts_clear(&behaviour->ext_on);
	free(behaviour->rate_reply);
	*behaviour = (struct behaviour){ 0 };
}

static inline bool glob_matches(const char *glob, const char *text)
{
	return fnmatch(glob, text, FNM_CASEFOLD) == 0;
}

static inline bool rule_applies(
	const struct rule *rule, const char *subject, const struct texts *others)
{
	if (rule->glob == NULL || (subject != NULL && glob_matches(rule->glob, subject)))
		return true;
	for (size_t i = 0; others != NULL && i < others->count; i++)
		if (glob_matches(rule->glob, others->at[i]))
			return true;
	return false;
}

/*
 * behaviour_rule - the rule for this event; it is charged for it. NULL: behave. The caller must not
 * keep it.
 */
static inline struct rule *behaviour_rule(struct behaviour *behaviour, enum stage stage,
	const char *subject, const struct texts *others)
{
	for (struct rule *rule = behaviour->rules; rule != NULL; rule = rule->next) {
		if (rule->stage != stage || rule->left == 0 || !rule_applies(rule, subject, others))
			continue;
		if (rule->left > 0)
			rule->left--;
		return rule;
	}
	return NULL;
}

/* behaviour_takes - one more message within the rate? */
static inline bool behaviour_takes(struct behaviour *behaviour, int64_t now_ms)
{
	double most = behaviour->rate < 1 ? 1 : behaviour->rate;

	if (behaviour->rate <= 0)
		return true;
	behaviour->rate_left += (double)(now_ms - behaviour->rate_at_ms) * behaviour->rate / 1000;
	behaviour->rate_at_ms = now_ms;
	if (behaviour->rate_left > most)
		behaviour->rate_left = most;
	if (behaviour->rate_left < 1)
		return false;
	behaviour->rate_left -= 1;
	return true;
}

/* Commands. Each returns NULL, or what is wrong. */

static inline bool stage_parse(const char *word, enum stage *out)
{
	for (size_t i = 0; word != NULL && i < STAGE_COUNT; i++) {
		if (strcasecmp(word, stage_names[i]) == 0) {
			*out = (enum stage)i;
			return true;
		}
	}
	return false;
}

/* Cuts " for GLOB" off the end. */
static inline char *take_glob(char *line)
{
	char *last = NULL;

	for (char *at = line; (at = strstr(at, " for ")) != NULL; at++)
		last = at;
	if (last == NULL && strncmp(line, "for ", 4) == 0)
		last = line;
	if (last == NULL || strpbrk(last + (last == line ? 4 : 5), " \t") != NULL)
		return NULL;
	*last = '\0';
	return copy_text(last + (last == line ? 4 : 5), strlen(last + (last == line ? 4 : 5)));
}

static inline void reply_from_text(struct bytes *out, const char *code, const char *text)
{
	const char *end;

	while ((end = strstr(text, "\\n")) != NULL) {
		bytes_format(out, "%s-%.*s\r\n", code, (int)(end - text), text);
		text = end + 2;
	}
	bytes_format(out, "%s %s\r\n", code, text);
}

static inline void reply_from_raw(struct bytes *out, const char *text)
{
	static const char *const plain = "rn0\\";
	static const char values[] = { '\r', '\n', '\0', '\\' };

	while (*text != '\0') {
		const char *found =
			text[0] == '\\' && text[1] != '\0' ? strchr(plain, text[1]) : NULL;
		char c = *text++;

		if (found != NULL) {
			c = values[found - plain];
			text++;
		} else if (c == '\\' && text[0] == 'x' && isxdigit((unsigned char)text[1]) &&
			   isxdigit((unsigned char)text[2])) {
			char hex[3] = { text[1], text[2], '\0' };

			c = (char)strtoul(hex, NULL, 16);
			text += 3;
		}
		bytes_add(out, &c, 1);
	}
}

static inline const char *rule_parse(struct rule *rule, const char *verb, char *rest)
{
	char *word;

	rule->glob = take_glob(rest);
	if (strcmp(verb, "drop-after-dot") == 0) {
		rule->stage = STAGE_DOT;
		rule->action = ACTION_UNANSWERED;
		return NULL;
	}
	if (strcmp(verb, "greet") == 0)
		rule->stage = STAGE_BANNER;
	else if (stage_parse(verb, &rule->stage))
		verb = "reply";
	else if (!stage_parse(next_word(&rest), &rule->stage))
		return "no such stage";
	if (rule->stage == STAGE_CONTENT && strcmp(verb, "drop") != 0)
		return "content can only be dropped";
	if (strcmp(verb, "drop") == 0) {
		word = next_word(&rest);
		rule->action =
			word != NULL && strcmp(word, "rst") == 0 ? ACTION_RESET : ACTION_DROP;
	} else if (strcmp(verb, "raw") == 0) {
		reply_from_raw(&rule->reply, rest_of(rest));
	} else if (strcmp(verb, "reply") == 0 || strcmp(verb, "greet") == 0) {
		word = next_word(&rest);
		if (word == NULL || strlen(word) != 3)
			return "a reply code of three digits is missing";
		reply_from_text(&rule->reply, word, rest_of(rest));
	} else {
		return "no such command";
	}
	return NULL;
}

static inline const char *behaviour_add_rule(
	struct behaviour *behaviour, int64_t left, const char *verb, char *rest)
{
	struct rule *rule = allocate(1, sizeof(*rule));
	const char *wrong = rule_parse(rule, verb, rest);

	if (wrong != NULL) {
		rule_free(rule);
		return wrong;
	}
	rule->left = left;
	rule->next = behaviour->rules;
	behaviour->rules = rule;
	return NULL;
}

static inline const char *behaviour_set_rate(struct behaviour *behaviour, char *rest)
{
	char *word = next_word(&rest);
	char *end = NULL;
	double rate = word != NULL ? strtod(word, &end) : -1;
	const char *reply;

	if (word != NULL && strcmp(word, "off") == 0)
		rate = 0;
	else if (rate <= 0 || (strcmp(end, "/s") != 0 && *end != '\0'))
		return "rate N/s CODE TEXT, or rate off";
	behaviour->rate = rate;
	behaviour->rate_left = rate < 1 ? 1 : rate;
	behaviour->rate_at_ms = mono_ms();
	reply = rest_of(rest);
	if (*reply == '\0')
		reply = "421 4.7.0 too many messages, come back later";
	free(behaviour->rate_reply);
	behaviour->rate_reply = copy_text(reply, strlen(reply));
	return NULL;
}

static inline const char *behaviour_set_extensions(struct behaviour *behaviour, char *rest)
{
	char *word;

	while ((word = next_word(&rest)) != NULL) {
		if (*word == '-')
			texts_add(&behaviour->ext_off, word + 1, strlen(word + 1));
		else if (*word == '+')
			texts_add(&behaviour->ext_on, word + 1, strlen(word + 1));
		else
			return "ext -KEYWORD +KEYWORD";
	}
	return NULL;
}

/*
 * behaviour_command - all commands but those that open or close the listener, which the caller
 * looks at afterwards.
 */
static inline const char *behaviour_command(struct behaviour *behaviour, char *line)
{
	int64_t left = -1;
	char *verb = next_word(&line);
	enum stage stage;

	if (verb != NULL && strcmp(verb, "once") == 0) {
		left = 1;
		verb = next_word(&line);
	} else if (verb != NULL && strcmp(verb, "times") == 0) {
		verb = next_word(&line);
		left = verb != NULL ? strtoll(verb, NULL, 10) : 0;
		verb = next_word(&line);
	}
	if (verb == NULL)
		return "no command";
	if (strcmp(verb, "up") == 0) {
		behaviour_reset(behaviour);
	} else if (strcmp(verb, "clear") == 0) {
		behaviour_clear_rules(behaviour);
	} else if (strcmp(verb, "refuse") == 0) {
		behaviour->is_refusing = true;
	} else if (strcmp(verb, "cut") == 0) {
		behaviour->is_cutting = true;
	} else if (strcmp(verb, "hang") == 0) {
		behaviour->is_hanging = true;
		behaviour->is_refusing = false;
	} else if (strcmp(verb, "rate") == 0) {
		return behaviour_set_rate(behaviour, line);
	} else if (strcmp(verb, "max-connections") == 0) {
		behaviour->connections_max = strtoll(line, NULL, 10);
	} else if (strcmp(verb, "ext") == 0) {
		return behaviour_set_extensions(behaviour, line);
	} else if (strcmp(verb, "delay") == 0) {
		if (!stage_parse(next_word(&line), &stage) || stage == STAGE_CONTENT)
			return "delay STAGE MS";
		behaviour->delay_ms[stage] = strtoll(line, NULL, 10);
	} else {
		return behaviour_add_rule(behaviour, left, verb, line);
	}
	return NULL;
}

#endif
