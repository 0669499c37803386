/*
 * mem - every allocation of the library goes through here.
 *
 * So that a test can make the n-th one fail (tests/fault), and so that sizes
 * are checked for overflow in one place.  Failure returns NULL with the
 * message set (RAG_ENOMEM).  Threads: safe, apart from mem_fail_at().
 */
#ifndef RAG_BASE_MEM_H
#define RAG_BASE_MEM_H

#include <stddef.h>

#define MEM_HUGE ((size_t)1 << 21)	/* an alignment that asks for pages of this size, too */

void *mem_alloc(size_t n);			/* n == 0 gives a valid pointer */
void *mem_calloc(size_t count, size_t size);
void *mem_realloc(void *p, size_t count, size_t size);	/* count * size bytes; p lives on failure */
void *mem_aligned(size_t align, size_t n);	/* align: power of two; freed by mem_free */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);	/* n bytes and a NUL */
void *mem_dup(const void *p, size_t n);
void mem_free(void *p);				/* NULL is allowed */

/* Tests: the n-th allocation from now on fails (1 = the next), once; 0 turns
 * it off.  mem_count() is the number of allocations made so far. */
void mem_fail_at(unsigned long n);
unsigned long mem_count(void);

#endif
