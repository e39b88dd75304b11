/* list - circular doubly linked list, links embedded in their owners. A zeroed link is "in no list". */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}
static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}
static inline bool list_is_linked(const struct list *link)
{
	return link->next != NULL;
}
static inline void list_insert_before(struct list *at, struct list *link)
{
	CHECK(!list_is_linked(link));
	link->prev = at->prev;
	link->next = at;
	at->prev->next = link;
	at->prev = link;
}
static inline void list_push_back(struct list *head, struct list *link)
{
	list_insert_before(head, link);
}
static inline void list_push_front(struct list *head, struct list *link)
{
	list_insert_before(head->next, link);
}
/* list_remove - legal for a link that is in no list. */
static inline void list_remove(struct list *link)
{
	if (!list_is_linked(link))
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->next = link->prev = NULL;
}
/* list_pop_front - the first link, removed; NULL when empty. */
static inline struct list *list_pop_front(struct list *head)
{
	if (list_is_empty(head))
		return NULL;
	struct list *link = head->next;
	list_remove(link);
	return link;
}
/* list_splice - moves all of *from to the end of *head. */
static inline void list_splice(struct list *head, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	list_init(from);
}

#define LIST_FOR_EACH(pos, head)                                                                   \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* The current link may be removed (not its successor). */
#define LIST_FOR_EACH_SAFE(pos, head)                                                              \
	for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head);              \
		pos = pos##_next, pos##_next = pos->next)

#endif
