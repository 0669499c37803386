/*
 * progress - how a long call tells its caller where it is, and is stopped.
 *
 * The callback is called on the caller's thread, often enough for a smooth
 * bar and for Ctrl-C to feel immediate (every 100 ms at the least).
 */
#ifndef RAG_BASE_PROGRESS_H
#define RAG_BASE_PROGRESS_H

#include <stdint.h>

struct progress_at {
	const char *stage;	/* "scan", "embed", "commit", ...; static */
	const char *what;	/* the file in hand, or NULL; borrowed for the call */
	uint64_t done, total;	/* in the stage's unit; total 0: not known */
};

struct progress {
	int (*fn)(void *arg, const struct progress_at *at);	/* not 0: stop */
	void *arg;
};

/* RAG_OK, or RAG_ECANCEL ("cancelled").  p may be NULL. */
int progress_tick(const struct progress *p, const char *stage, const char *what,
		  uint64_t done, uint64_t total);

#endif
