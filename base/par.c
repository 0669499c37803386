#include "config.h"
#include "base/par.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* About 20 us of pauses: longer than the gap between two layers of a model,
 * shorter than anything a person or a battery would notice. */
#define SPINS 2000

/* The pieces that a thread still has: first in the lower half, end in the upper. */
struct share {
	_Alignas(64) atomic_uint_fast64_t range;
};

struct worker {
	struct par *pool;
	pthread_t thread;
	int number;
};

struct par {
	int n_threads;
	int n_started;			/* workers that run, the caller not counted */
	struct worker *workers;

	void (*fn)(void *arg, size_t piece, int thread);
	void *arg;
	struct share *shares;		/* (n_threads) */
	atomic_uint epoch;		/* one up for each par_for */
	atomic_int busy;		/* workers that have not finished this epoch */
	atomic_bool quit;

	pthread_mutex_t lock;		/* for the two conditions */
	pthread_cond_t start, finish;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* A piece of a share, from its front or its end; false when none is left. */
static bool take(size_t *piece, struct share *s, bool front)
{
	uint64_t range = atomic_load(&s->range), rest;
	uint32_t first, end;

	do {
		first = (uint32_t)range;
		end = (uint32_t)(range >> 32);
		if (first >= end)
			return false;
		rest = front ? (uint64_t)end << 32 | (first + 1) : (uint64_t)(end - 1) << 32 | first;
	} while (!atomic_compare_exchange_weak(&s->range, &range, rest));
	*piece = front ? first : end - 1;
	return true;
}

/* Its own pieces in order, as neighbours lie together in memory; then others' from behind. */
static void take_pieces(struct par *p, int thread)
{
	size_t i;

	while (take(&i, &p->shares[thread], true))
		p->fn(p->arg, i, thread);
	for (int k = 1; k < p->n_threads; k++)
		while (take(&i, &p->shares[(thread + k) % p->n_threads], false))
			p->fn(p->arg, i, thread);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct par *p = w->pool;
	unsigned seen = 0;

	for (;;) {
		for (int i = 0; i < SPINS && atomic_load(&p->epoch) == seen; i++)
			relax();
		if (atomic_load(&p->epoch) == seen) {
			pthread_mutex_lock(&p->lock);
			while (atomic_load(&p->epoch) == seen)
				pthread_cond_wait(&p->start, &p->lock);
			pthread_mutex_unlock(&p->lock);
		}
		seen++;
		if (atomic_load(&p->quit))
			return NULL;
		take_pieces(p, w->number);
		if (atomic_fetch_sub(&p->busy, 1) == 1) {
			pthread_mutex_lock(&p->lock);
			pthread_cond_signal(&p->finish);
			pthread_mutex_unlock(&p->lock);
		}
	}
}

static void next_epoch(struct par *p)
{
	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->epoch, 1);
	pthread_cond_broadcast(&p->start);
	pthread_mutex_unlock(&p->lock);
}

int par_new(struct par **out, int n_threads)
{
	struct par *p = mem_calloc(1, sizeof(*p));
	int rc = RAG_ENOMEM;

	if (!p)
		return RAG_ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->start, NULL);
	pthread_cond_init(&p->finish, NULL);
	if (n_threads <= 0) {
		cpu_set_t set;

		n_threads = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
	}
	p->n_threads = n_threads;
	p->workers = mem_calloc((size_t)n_threads, sizeof(*p->workers));
	p->shares = mem_aligned(64, (size_t)n_threads * sizeof(*p->shares));
	if (!p->workers || !p->shares)
		goto fail;
	for (int i = 1; i < n_threads; i++) {
		struct worker *w = &p->workers[i];
		int e;

		w->pool = p;
		w->number = i;
		e = pthread_create(&w->thread, NULL, worker_main, w);
		if (e) {
			rc = err_set(RAG_EIO, "cannot start a thread: %s", strerror(e));
			goto fail;
		}
		p->n_started++;
	}
	*out = p;
	return RAG_OK;
fail:
	par_free(p);
	return rc;
}

void par_free(struct par *p)
{
	if (!p)
		return;
	if (p->n_started) {
		atomic_store(&p->quit, true);
		next_epoch(p);
		for (int i = 1; i <= p->n_started; i++)
			pthread_join(p->workers[i].thread, NULL);
	}
	pthread_cond_destroy(&p->start);
	pthread_cond_destroy(&p->finish);
	pthread_mutex_destroy(&p->lock);
	mem_free(p->workers);
	mem_free(p->shares);
	mem_free(p);
}

int par_threads(const struct par *p)
{
	return p ? p->n_threads : 1;
}

void par_for(struct par *p, size_t n,
	     void (*fn)(void *arg, size_t piece, int thread), void *arg)
{
	if (!p || p->n_threads == 1 || n <= 1) {
		for (size_t i = 0; i < n; i++)
			fn(arg, i, 0);
		return;
	}
	assert(n <= UINT32_MAX);
	p->fn = fn;
	p->arg = arg;
	for (size_t i = 0, threads = (size_t)p->n_threads; i < threads; i++)
		atomic_store(&p->shares[i].range, (uint64_t)(n * (i + 1) / threads) << 32 | n * i / threads);
	atomic_store(&p->busy, p->n_started);
	next_epoch(p);
	take_pieces(p, 0);
	for (int i = 0; i < SPINS && atomic_load(&p->busy); i++)
		relax();
	pthread_mutex_lock(&p->lock);
	while (atomic_load(&p->busy))
		pthread_cond_wait(&p->finish, &p->lock);
	pthread_mutex_unlock(&p->lock);
}
