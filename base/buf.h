/*
 * buf - a byte string that grows, with a ceiling that it never passes.
 *
 * Always NUL-terminated behind len, so data can be read as a C string when
 * it holds none.  A call that fails leaves the contents as they were.
 * One thread at a time.
 */
#ifndef RAG_BASE_BUF_H
#define RAG_BASE_BUF_H

#include <stddef.h>

struct buf {
	char *data;	/* owned; NULL until the first byte: use buf_str() */
	size_t len;
	size_t cap;
	size_t max;	/* ceiling in bytes; 0 means BUF_MAX */
};

#define BUF_MAX ((size_t)1 << 32)	/* nothing that we hold in one piece is larger */
#define BUF_INIT { NULL, 0, 0, 0 }
#define BUF_INIT_MAX(n) { NULL, 0, 0, (n) }

/* RAG_ENOMEM, or RAG_ELIMIT at the ceiling. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_reserve(struct buf *b, size_t more);	/* room for more bytes behind len */
const char *buf_str(const struct buf *b);	/* "" when empty; borrowed */
char *buf_detach(struct buf *b);		/* the caller owns it; b is empty; NULL: RAG_ENOMEM */
void buf_clear(struct buf *b);			/* keeps the memory */
void buf_release(struct buf *b);		/* frees it; b is BUF_INIT with its max */

#endif
