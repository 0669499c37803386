/*
 * ranges - a set of chunk ids, as few intervals.
 *
 * A content's chunks follow each other, so what a filter allows, or what is
 * hidden, is a short ascending list of disjoint ranges that blocks of vectors
 * and of words are cut by.  Add in any order, then settle once: after that it
 * is read by binary search.  One thread at a time; settled and not written:
 * any number.
 */
#ifndef RAG_INDEX_RANGES_H
#define RAG_INDEX_RANGES_H

#include "index/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ranges {
	struct store_range *r;	/* owned, (n) */
	size_t n, cap;
};
#define RANGES_INIT { NULL, 0, 0 }

void ranges_release(struct ranges *rs);
int ranges_add(struct ranges *rs, struct store_range r);
/* In order; ranges that touch or overlap become one (contents shared by several
 * documents come twice), empty ones go. */
void ranges_settle(struct ranges *rs);

/* Of settled ranges: the first that ends behind id; rs->n if none does. */
size_t ranges_from(const struct ranges *rs, uint64_t id);
bool ranges_has(const struct ranges *rs, uint64_t id);

#endif
