/*
 * account - see account.h.
 *
 * Codes: a sender address is refused as Postfix does it, 553 5.7.1. Used up is 451 4.7.1 at MAIL and DATA; at RCPT it is
 * 450 4.7.1, for 452 there asks the client for the rest at once (RFC 5321 section 4.5.3.1.10), and it would be refused
 * again. The null reverse-path may be used by everybody: a receipt has no other (RFC 8098 section 3).
 */
#include "relay/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "queue/quota.h"

struct account {
	struct map_entry entry; /* by name */
	struct list link;
	struct quota messages, recipients;
	char name[];
};

struct accounts {
	struct env *env;
	struct map by_name;
	struct list recent; /* the latest last */
};

struct accounts *accounts_new(struct env *env)
{
	struct accounts *a = mem_zalloc(sizeof(*a));
	uint64_t seed;

	a->env = env;
	env_random(env, &seed, sizeof(seed));
	map_init(&a->by_name, seed);
	list_init(&a->recent);
	return a;
}

static void forget(struct accounts *a, struct account *one)
{
	map_remove(&a->by_name, &one->entry);
	list_remove(&one->link);
	free(one);
}

void accounts_free(struct accounts *a)
{
	LIST_FOR_EACH_SAFE (link, &a->recent)
		forget(a, CONTAINER_OF(link, struct account, link));
	map_fini(&a->by_name);
	free(a);
}

struct str account_name(const struct smtp_server_info *info)
{
	return info->user.len > 0 ? info->user : info->certificate;
}

static const struct conf_user_rule *rule_of(const struct conf *conf, struct str name)
{
	for (uint32_t i = 0; name.len > 0 && i < conf->user_rule_count; i++)
		if (str_match_glob(name, conf->user_rules[i].pattern))
			return &conf->user_rules[i];
	return NULL;
}

static struct account *account_of(struct accounts *a, struct str name)
{
	struct map_entry *e = map_find(&a->by_name, name);
	struct account *one;

	if (e) {
		one = CONTAINER_OF(e, struct account, entry);
		list_remove(&one->link);
	} else {
		if (a->by_name.count >= ACCOUNTS_MAX)
			forget(a, CONTAINER_OF(a->recent.next, struct account, link));
		one = mem_zalloc(sizeof(*one) + name.len);
		memcpy(one->name, name.data, name.len);
		map_insert(&a->by_name, &one->entry, str_of(one->name, name.len));
	}
	list_push_back(&a->recent, &one->link);
	return one;
}

static bool owns(const struct conf_user_rule *rule, struct str sender)
{
	if (rule->sender_count == 0 || sender.len == 0)
		return true;
	for (uint32_t i = 0; i < rule->sender_count; i++)
		if (str_match_glob(sender, rule->senders[i]))
			return true;
	return false;
}

/* Answers when amount more would be over the limit of an hour. */
static bool is_used_up(struct accounts *a, const struct quota *q, uint32_t limit, uint32_t amount,
	const char *what, unsigned code, struct smtp_transaction *t, struct smtp_answer *answer)
{
	int64_t wait_ms = limit > 0 ? quota_wait_ms(q, limit, amount, env_wall(a->env)) : 0;

	if (wait_ms == 0)
		return false;
	*answer = (struct smtp_answer){
		.code = code,
		.status = STATUS(4, 7, 1),
		.text = arena_printf(&t->arena,
			"Too many %s from user %.*s: %u an hour; try again in %lld minutes", what,
			STR_FMT(t->env.user), limit,
			(long long)((wait_ms + MINUTE_MS - 1) / MINUTE_MS)),
	};
	return true;
}

void account_on_mail(struct accounts *a, const struct conf *conf, struct smtp_transaction *t,
	struct smtp_answer *answer)
{
	struct str name = t->env.user;
	const struct conf_user_rule *rule = rule_of(conf, name);

	if (!rule)
		return;
	if (!owns(rule, t->env.reverse_path)) {
		*answer = (struct smtp_answer){
			.code = 553,
			.status = STATUS(5, 7, 1),
			.text = arena_printf(&t->arena,
				"<%.*s>: Sender address rejected: not owned by user %.*s",
				STR_FMT(t->env.reverse_path), STR_FMT(name)),
		};
		return;
	}
	if (rule->messages_per_hour > 0)
		(void)is_used_up(a, &account_of(a, name)->messages, rule->messages_per_hour, 1,
			"messages", 451, t, answer);
}

void account_on_rcpt(struct accounts *a, const struct conf *conf, struct smtp_transaction *t,
	struct smtp_answer *answer)
{
	const struct conf_user_rule *rule = rule_of(conf, t->env.user);

	if (rule && rule->recipients_per_hour > 0)
		(void)is_used_up(a, &account_of(a, t->env.user)->recipients,
			rule->recipients_per_hour, t->env.recipient_count + 1, "recipients", 450, t,
			answer);
}

void account_on_data(struct accounts *a, const struct conf *conf, struct smtp_transaction *t,
	struct smtp_answer *answer)
{
	const struct conf_user_rule *rule = rule_of(conf, t->env.user);
	struct account *one;

	if (!rule || (rule->messages_per_hour == 0 && rule->recipients_per_hour == 0))
		return;
	one = account_of(a, t->env.user);
	/* Again: other sessions of the user may have sent meanwhile. */
	if (is_used_up(a, &one->messages, rule->messages_per_hour, 1, "messages", 451, t, answer) ||
		is_used_up(a, &one->recipients, rule->recipients_per_hour, t->env.recipient_count,
			"recipients", 451, t, answer))
		return;
	quota_take(&one->messages, 1, env_wall(a->env));
	quota_take(&one->recipients, t->env.recipient_count, env_wall(a->env));
}
