#include "config.h"
#include "index/ranges.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

void ranges_release(struct ranges *rs)
{
	mem_free(rs->r);
	*rs = (struct ranges)RANGES_INIT;
}

int ranges_add(struct ranges *rs, struct store_range r)
{
	if (rs->n == rs->cap) {
		size_t cap = rs->cap ? 2 * rs->cap : 64;
		struct store_range *p = mem_realloc(rs->r, cap, sizeof(*p));

		if (!p)
			return RAG_ENOMEM;
		rs->r = p;
		rs->cap = cap;
	}
	rs->r[rs->n++] = r;
	return RAG_OK;
}

static int by_first(const void *a, const void *b)
{
	const struct store_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

void ranges_settle(struct ranges *rs)
{
	size_t n = 0;

	if (rs->n)
		qsort(rs->r, rs->n, sizeof(*rs->r), by_first);
	for (size_t i = 0; i < rs->n; i++) {
		if (rs->r[i].first >= rs->r[i].end)
			continue;
		if (n && rs->r[i].first <= rs->r[n - 1].end) {
			if (rs->r[i].end > rs->r[n - 1].end)
				rs->r[n - 1].end = rs->r[i].end;
		} else {
			rs->r[n++] = rs->r[i];
		}
	}
	rs->n = n;
}

size_t ranges_from(const struct ranges *rs, uint64_t id)
{
	size_t lo = 0, hi = rs->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rs->r[mid].end <= id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool ranges_has(const struct ranges *rs, uint64_t id)
{
	size_t i = ranges_from(rs, id);

	return i < rs->n && rs->r[i].first <= id;
}
