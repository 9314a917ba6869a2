/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/mem/mem.h"

void mem_queue_init(struct mem_queue *q)
{
	*q = (struct mem_queue){ NULL, &q->head, 0 };
}

struct mem_item *mem_item_new(struct fz_memnet *net, const uint8_t *data, size_t len)
{
	struct mem_item *item = net->env->mem.alloc(net->env->mem.ctx, sizeof(*item) + FZ_PKT_HEADROOM + len);

	if (item == NULL)
		return NULL;
	*item = (struct mem_item){ .pkt = { .data = (uint8_t *)(item + 1) + FZ_PKT_HEADROOM, .len = len } };
	memset(item + 1, 0, FZ_PKT_HEADROOM);
	memcpy(item->pkt.data, data, len);
	return item;
}

void mem_queue_push(struct mem_queue *q, struct mem_item *item)
{
	item->next = NULL;
	*q->tail = item;
	q->tail = &item->next;
	q->n++;
}

void mem_queue_insert(struct mem_queue *q, struct mem_item *item)
{
	struct mem_item **at = &q->head;

	while (*at != NULL && (*at)->due_us <= item->due_us)
		at = &(*at)->next;
	if (*at == NULL) {
		mem_queue_push(q, item);
		return;
	}
	item->next = *at;
	*at = item;
	q->n++;
}

struct mem_item *mem_queue_pop(struct mem_queue *q)
{
	struct mem_item *item = q->head;

	if (item == NULL)
		return NULL;
	q->head = item->next;
	if (q->head == NULL)
		q->tail = &q->head;
	q->n--;
	return item;
}

void mem_queue_clear(struct fz_memnet *net, struct mem_queue *q)
{
	struct mem_item *item;

	while ((item = mem_queue_pop(q)) != NULL)
		fz_free(net->env, item);
}
