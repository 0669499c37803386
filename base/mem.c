#include "config.h"
#include "base/mem.h"

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_ulong allocations;
static atomic_ulong fail_at;	/* 0: never */

static bool injected(void)
{
	unsigned long n = atomic_fetch_add(&allocations, 1) + 1;

	return n == atomic_load(&fail_at);
}

static void *checked(void *p, size_t n)
{
	if (!p)
		err_set(RAG_ENOMEM, "out of memory, %zu bytes wanted", n);
	return p;
}

void *mem_alloc(size_t n)
{
	return checked(injected() ? NULL : malloc(n ? n : 1), n);
}

void *mem_calloc(size_t count, size_t size)
{
	return checked(injected() ? NULL : calloc(count ? count : 1, size ? size : 1),
		       count * size);
}

void *mem_realloc(void *p, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return checked(NULL, SIZE_MAX);
	return checked(injected() ? NULL : realloc(p, n ? n : 1), n);
}

void *mem_aligned(size_t align, size_t n)
{
	size_t up = (n + align - 1) & ~(align - 1);
	void *p;

	if (up < n)
		return checked(NULL, n);
	p = injected() ? NULL : aligned_alloc(align, up ? up : align);
#ifdef MADV_HUGEPAGE
	if (p && align >= MEM_HUGE)
		madvise(p, up, MADV_HUGEPAGE);
#endif
	return checked(p, n);
}

char *mem_strndup(const char *s, size_t n)
{
	char *p = n == SIZE_MAX ? NULL : mem_alloc(n + 1);

	if (p) {
		memcpy(p, s, n);
		p[n] = 0;
	}
	return p;
}

char *mem_strdup(const char *s)
{
	return mem_strndup(s, strlen(s));
}

void *mem_dup(const void *p, size_t n)
{
	void *q = mem_alloc(n);

	if (q && n)
		memcpy(q, p, n);
	return q;
}

void mem_free(void *p)
{
	free(p);
}

void mem_fail_at(unsigned long n)
{
	atomic_store(&fail_at, n ? atomic_load(&allocations) + n : 0);
}

unsigned long mem_count(void)
{
	return atomic_load(&allocations);
}
