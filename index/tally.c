#include "config.h"
#include "index/tally.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct tally_slot {
	uint64_t key;
	size_t n;		/* 0: free */
};

void tally_release(struct tally *t)
{
	mem_free(t->slot);
	memset(t, 0, sizeof(*t));
}

void tally_clear(struct tally *t)
{
	if (t->n)
		memset(t->slot, 0, t->cap * sizeof(*t->slot));
	t->n = 0;
}

/* The key's slot, or the free one where it belongs.  cap is a power of two. */
static struct tally_slot *find(struct tally_slot *slot, size_t cap, uint64_t key)
{
	size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 32) & (cap - 1);	/* 2^64 / golden ratio */

	while (slot[i].n && slot[i].key != key)
		i = (i + 1) & (cap - 1);
	return &slot[i];
}

static int grow(struct tally *t)
{
	size_t cap = t->cap ? 2 * t->cap : 256;
	struct tally_slot *slot = mem_calloc(cap, sizeof(*slot));

	if (!slot)
		return RAG_ENOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slot[i].n)
			*find(slot, cap, t->slot[i].key) = t->slot[i];
	mem_free(t->slot);
	t->slot = slot;
	t->cap = cap;
	return RAG_OK;
}

int tally_add(size_t *seen, struct tally *t, uint64_t key)
{
	struct tally_slot *s;

	if (2 * (t->n + 1) > t->cap && grow(t))
		return RAG_ENOMEM;
	s = find(t->slot, t->cap, key);
	t->n += !s->n;
	s->key = key;
	*seen = ++s->n;
	return RAG_OK;
}
