/*
 * par - a pool of threads that shares out numbered pieces of work.
 *
 * par_for() calls fn for each piece 0 .. n-1 (n < 2^32) exactly once and returns when
 * all are done; the caller's thread works too.  Which thread takes which
 * piece is open, so a piece must write only what belongs to its number: then
 * the result does not depend on the number of threads.  Workers spin briefly
 * between calls and then sleep.  One par_for() at a time per pool; nested
 * calls on the same pool are a bug.
 */
#ifndef RAG_BASE_PAR_H
#define RAG_BASE_PAR_H

#include <stddef.h>

struct par;

/* n_threads 0: as many as there are processors for this process.  The caller
 * owns *out.  RAG_ENOMEM, RAG_EIO where no thread can be started. */
int par_new(struct par **out, int n_threads);
void par_free(struct par *p);			/* NULL is allowed */
int par_threads(const struct par *p);		/* NULL: 1 */

/* thread: 0 .. par_threads(p)-1, for scratch memory.  p may be NULL: then
 * all pieces run on the caller's thread, in order. */
void par_for(struct par *p, size_t n,
	     void (*fn)(void *arg, size_t piece, int thread), void *arg);

#endif
