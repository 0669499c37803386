/*
 * tally - how often each number came: a hash table that only counts.
 *
 * Linear probing in a table that is at most half full.  One thread at a time.
 */
#ifndef RAG_INDEX_TALLY_H
#define RAG_INDEX_TALLY_H

#include <stddef.h>
#include <stdint.h>

struct tally_slot;

struct tally {
	struct tally_slot *slot;	/* owned, (cap) */
	size_t n, cap;
};

void tally_release(struct tally *t);	/* zeroed is allowed; leaves it so */
void tally_clear(struct tally *t);
/* *seen: how often key has come, this time counted. */
int tally_add(size_t *seen, struct tally *t, uint64_t key);

#endif
